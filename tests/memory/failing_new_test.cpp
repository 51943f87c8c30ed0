// SPDX-License-Identifier: MIT

// The operator that the other tests of this folder rely on is the one that the program uses.

#include "support/failing_new.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "support/catch.hpp"

namespace failing_new_test {

TEST_CASE("Failing new: it counts what the program asks for, and what is alive") {
  const std::uint64_t asked = support::bytes_asked_for();
  const std::int64_t alive = support::living_allocations();
  const auto one = std::make_unique<int>(1);
  const auto many = std::make_unique<std::byte[]>(1000);
  const std::int64_t more = support::living_allocations() - alive;
  CHECK(support::bytes_asked_for() - asked == sizeof(int) + 1000);
  CHECK(more == 2);
}

TEST_CASE("Failing new: an armed fault strikes, in one object and in an array") {
  for (const bool array : {false, true}) {
    const support::AllocationFault fault{1};
    const auto allocate = [&] { array ? void(std::make_unique<int[]>(3)) : void(std::make_unique<int>(3)); };
    CHECK_THROWS_AS(allocate(), std::bad_alloc);
    CHECK(support::AllocationFault::struck());
  }
}

}  // namespace failing_new_test
