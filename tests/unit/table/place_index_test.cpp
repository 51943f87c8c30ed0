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

/// The index beside what it should know: the tag of each position, as the table that owns it keeps them.
class Pair {
 public:
  void add(std::uint32_t tag) {
    if (tags_.size() == index_.capacity()) index_.rebuild(tags_.size() + tags_.size() / 2 + 1, tags_);
    index_.link(tag, tags_.size());
    tags_.push_back(tag);
  }
  /// Removes as a table does: the last one takes the place.
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

  /// Every position is found under its tag and only once, and nothing under a tag that is not there.
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

/// A random sequence of what tables do, with tags that `tag_of` makes of a random number.
void agree_with_list(std::size_t most, const std::function<std::uint32_t(std::uint32_t)>& tag_of) {
  std::mt19937 random{11};
  Pair pair;
  for (std::size_t step = 0; step < 40 * most; ++step) {
    const bool grows = random() % 8 < (step / most % 2 == 0 ? 6U : 2U);  // by turns it fills and empties
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
  constexpr std::uint32_t kFirst = 7;  // names the first chunk
  std::size_t position = 0;
  while (position < 13) index.link(kFirst, position++);  // the last goes to the second chunk
  const auto visits = [&index] {
    std::size_t count = 0;
    (void)index.find(kFirst, [&](std::size_t) { return ++count, false; });
    return count;
  };
  REQUIRE(visits() == 13);
  index.link((1U << 29) | kFirst, position++);  // at home in the second chunk, and alike but for that
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
