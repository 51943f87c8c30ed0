// SPDX-License-Identifier: MIT

// The marks of changed entries, against a model, in every order of changes, slices and cuts: a save of what
// is marked brings the stored entries to the moment of its cut.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "kvstore/detail/segment/cut.hpp"
#include "kvstore/detail/segment/cut_number.hpp"
#include "kvstore/detail/segment/position_bits.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"

namespace marks_test {

using kvstore::detail::CutKind;
using kvstore::detail::CutNumber;
using kvstore::detail::PositionBits;

namespace {

using Text = std::map<std::string, std::string>;

/// Takes what a cut encodes. Each entry fills a slice.
class Saved {
 public:
  explicit Saved(Text& stored) : stored_{stored} {}

  template <class Value>
  void put(int key, const Value& value) {
    take(std::to_string(key), value);
  }
  void put(const kvstore::Change& change) {
    if (!change.value) {
      ++entries_;
      stored_.erase(std::string{change.key});
    } else {
      take(std::string{change.key}, std::stoi(std::string{*change.value}));
    }
  }
  [[nodiscard]] std::size_t bytes() const { return entries_ << 16U; }

 private:
  void take(const std::string& key, int value) {
    ++entries_;
    stored_[key] = std::to_string(value);
  }

  Text& stored_;
  std::size_t entries_ = 0;
};

/// A segment with two entries, its store's storage, and the model of both.
class Scene {
 public:
  using Cut = kvstore::detail::SegmentCut<int, int>;
  using Table = Cut::Table;
  using Mutation = Cut::Mutation;

  Scene() {
    for (const int key : {0, 1}) {
      int k = key;
      int value = ++last_value_;
      table_.prepare_insert(1);
      table_.insert(hash_of(key), std::move(k), std::move(value), nullptr);
    }
    stored_ = contents();
  }

  void put(int key) {
    int k = key;
    int value = ++last_value_;
    const std::size_t position = find(key);
    edit(position == Table::kNone ? Mutation::insert(hash_of(key), k, value, nullptr)
                                  : Mutation::replace(hash_of(key), position, value));
  }
  void remove(int key) {
    if (find(key) != Table::kNone) edit(Mutation::erase(hash_of(key), find(key)));
  }
  /// A removal that does not come about: it could not be recorded.
  void fail_to_remove(int key) {
    if (find(key) == Table::kNone) return;
    cut_.prepare(number_, table_, Mutation::erase(hash_of(key), find(key)));
  }

  /// Begins a save, or goes on with the one under way. @returns whether the storage has what it should
  bool step(CutKind kind) {
    if (!kvstore::detail::is_open(number_)) begin(kind);
    if (cut_.encode_slice(number_, table_, *saver_)) return true;
    number_ &= ~kvstore::detail::kCutKinds;
    if (kind_ != CutKind::copy) stored_ = saved_;
    return saved_ == expected_;
  }
  bool finish() {
    while (kvstore::detail::is_open(number_)) {
      if (!step(kind_)) return false;
    }
    return true;
  }

 private:
  static std::uint64_t hash_of(int key) { return 0x9E37'79B9'7F4A'7C15U * static_cast<unsigned>(key + 1); }

  [[nodiscard]] std::size_t find(int key) const {
    return table_.find(
        hash_of(key), [&](int other) { return other == key; }, [](const auto&) { return std::uint64_t{}; });
  }
  [[nodiscard]] Text contents() const {
    Text result;
    for (const auto& entry : table_.entries())
      result[std::to_string(entry.key)] = std::to_string(entry.value);
    return result;
  }

  void edit(const Mutation& mutation) {
    if (mutation.kind == Mutation::Kind::insert) table_.prepare_insert(1);
    cut_.prepare(number_, table_, mutation);
    cut_.perform(number_, table_, mutation);
  }

  void begin(CutKind kind) {
    kind_ = kind;
    number_ += kvstore::detail::kNextCut + static_cast<CutNumber>(kind);
    expected_ = contents();
    saved_ = kind == CutKind::changes ? stored_ : Text{};
    saver_.emplace(saved_);
  }

  Table table_;
  Cut cut_;
  CutNumber number_ = kvstore::detail::kKeepsMarks;
  CutKind kind_ = CutKind::none;
  int last_value_ = 0;
  Text stored_;
  Text expected_;
  Text saved_;
  std::optional<Saved> saver_;
};

constexpr std::size_t kActions = 10;

bool act(Scene& scene, std::size_t action) {
  constexpr std::array kKinds{CutKind::changes, CutKind::everything, CutKind::copy};
  if (action < 3) return scene.step(kKinds[action]);
  if (action < 6) return scene.put(static_cast<int>(action) - 3), true;
  if (action < 9) return scene.remove(static_cast<int>(action) - 6), true;
  return scene.fail_to_remove(0), true;
}

/// The actions of a sequence are the digits of `number`. @returns whether every save was right
bool play(std::size_t number, std::size_t length) {
  Scene scene;
  for (; length != 0; --length, number /= kActions) {
    if (!act(scene, number % kActions)) return false;
  }
  return scene.finish() && scene.step(CutKind::changes) && scene.finish();
}

}  // namespace

TEST_CASE("Marks: a save of what is marked is a point in time, in every order of changes and slices") {
  constexpr std::size_t kLength = 6;
  std::size_t sequences = 1;
  for (std::size_t i = 0; i < kLength; ++i) sequences *= kActions;
  for (std::size_t number = 0; number < sequences; ++number) {
    if (play(number, kLength)) continue;
    UNSCOPED_INFO("sequence " << number << ", from the last digit to the first");
    FAIL_CHECK("a save differs from the entries at its cut");
    return;
  }
}

TEST_CASE("Position bits: the next one that is set, across words, and as entries move") {
  PositionBits bits;
  CHECK(bits.next(0, 100) == 100);
  bits.cover(200, 2);
  for (const std::size_t position : {0U, 63U, 64U, 127U, 199U}) bits.set(position);
  std::string found;
  for (std::size_t at = bits.next(0, 200); at < 200; at = bits.next(at + 1, 200))
    found += std::to_string(at) + ' ';
  CHECK(found == "0 63 64 127 199 ");
  CHECK(bits.next(128, 150) == 150);
  CHECK(bits.next(200, 200) == 200);
  bits.push_back(false);
  bits.push_back(true);
  bits.erase(64);  // the last bit moves there
  CHECK(bits[64]);
  bits.erase(63);  // and now the one before, which is clear
  CHECK_FALSE(bits[63]);
  CHECK(bits.size() == 200);
  bits.erase(199);
  bits.cover(300, 0);
  CHECK_FALSE(bits[199]);
  CHECK_FALSE(bits[1000]);
}

}  // namespace marks_test
