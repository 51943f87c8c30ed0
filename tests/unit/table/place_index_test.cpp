// SPDX-License-Identifier: MIT

#include "kvstore/detail/table/place_index.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace place_index_test {

using kvstore::detail::PlaceIndex;

namespace {

/// The index together with the data that it indexes: the tag of each position, as the owning table keeps
/// them.
class Pair {
 public:
  void add(std::uint32_t tag) {
    if (tags_.size() == index_.capacity()) index_.rebuild(tags_.size() + tags_.size() / 2 + 1, tags_);
    index_.link(tag, tags_.size());
    tags_.push_back(tag);
  }
  /// Removes as a table does: the last entry takes the free place.
  void remove(std::size_t position) {
    index_.unlink(tags_[position], position);
    if (position + 1 != tags_.size()) index_.relink(tags_.back(), tags_.size() - 1, position);
    tags_[position] = tags_.back();
    tags_.pop_back();
  }
  void exchange(std::size_t a, std::size_t b) {
    index_.exchange(tags_[a], a, tags_[b], b);
    std::swap(tags_[a], tags_[b]);
  }
  [[nodiscard]] std::size_t size() const { return tags_.size(); }

  /// Requires that every position is found under its tag exactly once, and nothing under an absent tag.
  void require_right(std::uint32_t absent) const {
    for (std::size_t i = 0; i < tags_.size(); ++i) {
      std::size_t met = 0;
      const auto count = [&](std::size_t position) { return met += position == i, false; };
      REQUIRE(index_.find(tags_[i], count) == PlaceIndex::kNone);
      REQUIRE(met == 1);
    }
    const auto has_it = [&](std::size_t position) { return tags_.at(position) == absent; };
    REQUIRE(index_.find(absent, has_it) == PlaceIndex::kNone);
  }

 private:
  PlaceIndex index_;
  std::vector<std::uint32_t> tags_;
};

/// Applies a random sequence of the operations of tables. `tag_of` makes tags of random numbers.
void agree_with_list(std::size_t most, const std::function<std::uint32_t(std::uint32_t)>& tag_of) {
  std::mt19937 random{11};
  Pair pair;
  for (std::size_t step = 0; step < 40 * most; ++step) {
    const bool grows = random() % 8 < (step / most % 2 == 0 ? 6U : 2U);  // fills and empties by turns
    if (pair.size() == 0 || (grows && pair.size() < most))
      pair.add(tag_of(static_cast<std::uint32_t>(random())));
    else
      pair.remove(random() % pair.size());
    if (pair.size() > 1 && step % 4 == 0) {
      const std::size_t a = random() % pair.size();
      if (const std::size_t b = random() % pair.size(); a != b) pair.exchange(a, b);
    }
    if (step % most == 0) pair.require_right(0x12345678);
  }
  pair.require_right(0x12345678);
}

}  // namespace

TEST_CASE("PlaceIndex: a random sequence of changes leaves every position where it is looked for") {
  agree_with_list(3000, [](std::uint32_t random) { return random; });
}

TEST_CASE("PlaceIndex: it stays right when tags crowd at the end, so that searches go round") {
  agree_with_list(400, [](std::uint32_t random) { return 0xFFFFFF00U | random; });
}

TEST_CASE("PlaceIndex: it stays right when more tags collide than a chunk can count") {
  agree_with_list(700, [](std::uint32_t) { return 0x80000000U; });
}

TEST_CASE("PlaceIndex: once what was passed on is removed, searches no longer go on") {
  PlaceIndex index;
  index.clear_for(100);
  constexpr std::uint32_t kFirst = 7;  // selects the first chunk
  std::size_t position = 0;
  while (position < 13) index.link(kFirst, position++);  // the last one goes to the second chunk
  const auto visits = [&index] {
    std::size_t count = 0;
    (void)index.find(kFirst, [&](std::size_t) { return ++count, false; });
    return count;
  };
  REQUIRE(visits() == 13);
  index.link((1U << 29) | kFirst, position++);  // belongs to the second chunk, otherwise alike
  REQUIRE(visits() == 14);
  index.unlink(kFirst, 12);
  REQUIRE(visits() == 12);
}

TEST_CASE("PlaceIndex: an empty one finds nothing, and one moved from is empty") {
  PlaceIndex index;
  const auto any = [](std::size_t) { return true; };
  REQUIRE(index.find(1, any) == PlaceIndex::kNone);
  index.clear_for(1);
  index.link(1, 0);
  const PlaceIndex other{std::move(index)};
  REQUIRE(other.find(1, any) == 0);
  REQUIRE(index.find(1, any) ==
          PlaceIndex::kNone);  // NOLINT(bugprone-use-after-move): that is what is tested
}

}  // namespace place_index_test
