// SPDX-License-Identifier: MIT

// Which lines of a tail count, and for whom.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_mask.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "support/catch.hpp"
#include "support/simulated_disk.hpp"

namespace tail_lines_test {

using kvstore::detail::LineMask;
using support::SimulatedDisk;

namespace {

constexpr const char* kTail = "/sim/data.json.journal.tail";
constexpr std::string_view kId = "00000000000000aa";

std::string line(std::string_view body) {
  const std::string rest = " " + std::string{body};
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()} + rest + "\n";
}

/// The tail's file, in memory.
class Tail {
 public:
  explicit Tail(std::size_t round) : round_{round}, disk_{{{kTail, support::SparseText{}}}} {
    auto opened = disk_.open(kTail, kvstore::detail::OpenMode::update, 0666);
    file_ = std::move(opened.value);
    REQUIRE_FALSE(file_->truncate(kvstore::detail::kTailHead + round));
  }

  /// Puts a line where it stands if it belongs at `offset` of the journal `id`.
  void put(std::string_view id, std::uint64_t offset, const std::string& text) {
    const std::uint64_t position = offset % round_;
    std::string masked(text.size(), '\0');
    const LineMask mask{kvstore::detail::number_of_id(id), offset};
    kvstore::detail::copy_masked(text, masked.data(), mask, 0);
    REQUIRE_FALSE(kvstore::detail::write_all(*file_, kvstore::detail::kTailHead + position, masked));
  }
  [[nodiscard]] std::string read(std::uint64_t offset, std::string_view id = kId) {
    return kvstore::detail::read_tail(*file_, kTail, id, offset);
  }

 private:
  std::size_t round_;
  SimulatedDisk disk_;
  std::unique_ptr<kvstore::detail::File> file_;
};

}  // namespace

TEST_CASE("Tail: a line counts at its own offset of its own journal only") {
  constexpr std::size_t kRound = 256;
  const std::string text = line(R"(["k",1])");
  for (std::uint64_t offset = 0; offset < 3 * kRound; offset += 3) {
    Tail tail{kRound};
    const bool fits = offset % kRound + text.size() <= kRound;
    if (!fits) continue;
    tail.put(kId, offset, text);
    CHECK(tail.read(offset) == text);
    CHECK(tail.read(offset, "00000000000000ab").empty());
    for (std::uint64_t round = 0; round < 8; ++round) {
      const std::uint64_t other = round * kRound + offset % kRound;
      if (other != offset) CHECK(tail.read(other).empty());
    }
  }
}

TEST_CASE("Tail: behind the newest line, those of the round before do not count, although they fit") {
  constexpr std::size_t kRound = 256;
  const std::string text = line(R"(["k",1])");
  const std::size_t lines = kRound / text.size();
  for (std::size_t newest = 0; newest < lines; ++newest) {
    Tail tail{kRound};
    for (std::size_t i = 0; i < lines; ++i) tail.put(kId, i * text.size(), text);
    std::string expected;
    for (std::size_t i = 0; i <= newest; ++i) {
      tail.put(kId, kRound + i * text.size(), text);
      expected += text;
    }
    CHECK(tail.read(kRound) == expected);
  }
}

TEST_CASE("Tail: digits that look like a line feed when they are masked do no harm") {
  const std::string text = line(R"(["k",1])");
  Tail tail{std::size_t{1} << 20};
  int met = 0;
  for (std::uint64_t offset = 0; offset < 30'000; offset += text.size()) {
    std::string masked = text;
    LineMask{0xAA, offset}.turn(masked.data(), 0);
    met += masked.find('\n') < kvstore::detail::kCrcDigits ? 1 : 0;
    tail.put(kId, offset, text);
  }
  CHECK(met > 10);
  CHECK(tail.read(0).size() == (30'000 + text.size() - 1) / text.size() * text.size());
}

}  // namespace tail_lines_test
