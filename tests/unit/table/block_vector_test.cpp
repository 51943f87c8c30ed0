// SPDX-License-Identifier: MIT

#include "kvstore/detail/table/block_vector.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace block_vector_test {

namespace {

using Owner = std::unique_ptr<int>;
using Vector = kvstore::detail::BlockVector<Owner>;

void add(Vector& vector, int number) {
  vector.reserve(vector.size() + 1);
  vector.emplace_back(std::make_unique<int>(number));
}

std::vector<int> numbers_of(const Vector& vector) {
  std::vector<int> numbers;
  for (const Owner& owner : vector) numbers.push_back(*owner);
  return numbers;
}

std::vector<int> numbers_up_to(std::size_t count) {
  std::vector<int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

}  // namespace

TEST_CASE("BlockVector: what was appended stands there in order, over many blocks and after removals") {
  Vector vector;
  const std::size_t count = 3 * Vector::kBlock + 7;
  for (std::size_t i = 0; i < count; ++i) {
    add(vector, static_cast<int>(i));
    REQUIRE(*vector[i] == static_cast<int>(i));
  }
  REQUIRE(numbers_of(vector) == numbers_up_to(count));
  while (vector.size() > Vector::kBlock) vector.pop_back();
  REQUIRE(numbers_of(vector) == numbers_up_to(Vector::kBlock));
  add(vector, static_cast<int>(Vector::kBlock));
  REQUIRE(numbers_of(vector) == numbers_up_to(Vector::kBlock + 1));
}

TEST_CASE("BlockVector: once the first block is full, nothing moves") {
  Vector vector;
  vector.reserve(Vector::kBlock);
  std::vector<const Owner*> places;
  for (std::size_t i = 0; i < 4 * Vector::kBlock; ++i) {
    add(vector, static_cast<int>(i));
    places.push_back(&vector[i]);
  }
  for (std::size_t i = 0; i < places.size(); ++i) REQUIRE(places[i] == &vector[i]);
}

TEST_CASE("BlockVector: a few elements take little room, and many no more than a block too much") {
  Vector vector;
  REQUIRE(vector.capacity() == 0);
  add(vector, 0);
  REQUIRE(vector.capacity() <= 4);
  while (vector.size() < 5 * Vector::kBlock + 1) {
    add(vector, 0);
    REQUIRE(vector.capacity() < vector.size() + std::max(vector.size(), std::size_t{4}));
    REQUIRE(vector.capacity() <= vector.size() + Vector::kBlock);
  }
}

TEST_CASE("BlockVector: shrinking gives back what is not needed, and keeps every element in its place") {
  Vector vector;
  const auto shrink_to = [&](std::size_t size, std::size_t count) {
    while (vector.size() > size) vector.pop_back();
    vector.shrink(count);
    CHECK(numbers_of(vector) == numbers_up_to(size));
    return vector.capacity();
  };
  CHECK(shrink_to(0, 0) == 0);
  for (std::size_t i = 0; i < 5 * Vector::kBlock; ++i) add(vector, static_cast<int>(i));
  CHECK(shrink_to(5 * Vector::kBlock, 0) == 5 * Vector::kBlock);
  CHECK(shrink_to(2 * Vector::kBlock + 1, 4 * Vector::kBlock) == 4 * Vector::kBlock);
  CHECK(shrink_to(2 * Vector::kBlock + 1, 0) == 3 * Vector::kBlock);
  CHECK(shrink_to(2 * Vector::kBlock, 0) == 2 * Vector::kBlock);
  CHECK(shrink_to(Vector::kBlock / 2 + 1, 0) == Vector::kBlock);
  CHECK(shrink_to(9, 20) == 32);
  CHECK(shrink_to(9, 0) == 16);
  CHECK(shrink_to(0, 0) == 4);
  for (std::size_t i = 0; i < 2 * Vector::kBlock; ++i) add(vector, static_cast<int>(i));
  CHECK(numbers_of(vector) == numbers_up_to(2 * Vector::kBlock));
}

TEST_CASE("BlockVector: elements begin at cache lines, so that one of 64 bytes is in one") {
  struct alignas(8) Line {
    std::byte bytes[64];
  };
  kvstore::detail::BlockVector<Line> lines;
  for (std::size_t i = 0; i < 1000; ++i) {
    lines.reserve(i + 1);
    lines.emplace_back();
    REQUIRE(reinterpret_cast<std::uintptr_t>(&lines[i]) % 64 == 0);
  }
}

TEST_CASE("BlockVector: moving it moves everything, and leaves nothing") {
  Vector vector;
  for (int i = 0; i < 10; ++i) add(vector, i);
  Vector other{std::move(vector)};
  REQUIRE(numbers_of(other) == numbers_up_to(10));
  REQUIRE(vector.size() == 0);  // NOLINT(bugprone-use-after-move): that is what is tested
  add(vector, 0);
  other = std::move(vector);
  REQUIRE(numbers_of(other) == numbers_up_to(1));
}

TEST_CASE("BlockVector: elements larger than a block's usual size stand alone") {
  struct Large {
    std::byte bytes[20'000];
  };
  kvstore::detail::BlockVector<Large> vector;
  STATIC_REQUIRE(decltype(vector)::kBlock == 1);
  for (std::size_t i = 0; i < 3; ++i) {
    vector.reserve(i + 1);
    vector.emplace_back();
  }
  REQUIRE(vector.capacity() == 3);
}

}  // namespace block_vector_test
