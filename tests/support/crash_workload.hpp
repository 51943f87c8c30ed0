// SPDX-License-Identifier: MIT
#pragma once

// A store at work on a simulated disk, and the promises that it has made so far.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "kvstore/write_batch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/repeatable_random.hpp"
#include "support/simulated_disk.hpp"

namespace support {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using State = std::map<std::string, int>;

/// A storage under test.
struct StorageKind {
  std::string name;
  std::function<std::unique_ptr<kvstore::Storage>(kvstore::detail::FileSystem&)> make;
  bool journals;                  ///< few crash states are alike
  std::set<std::string> files;    ///< files that a clean close may leave; after compact() only data.json
  bool outlives_kill = journals;  ///< a killed process loses nothing acknowledged
};

inline constexpr std::size_t kBlock = 64;  // small, so that a save takes several writes

/// Makes already the second line of a journal overwrite zeros.
inline constexpr kvstore::detail::JournalSpace kTinySpace{
    .step = 64, .zero_from = 1, .zero_at_most = 256, .allocate_at_most = 256, .page = 32};

/// Makes operations put their lines into a tail, each round of which has room for a few.
inline constexpr kvstore::detail::JournalSpace kStagedSpace{
    .step = 128, .tail = 192, .zero_from = std::uint64_t{1} << 20, .stage_from = 1};

template <class AnyStorage, auto... kMore>
std::unique_ptr<kvstore::Storage> open_storage(kvstore::detail::FileSystem& files) {
  return std::make_unique<AnyStorage>("/sim/data.json", files, kMore...);
}

[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_marked_journal(
    kvstore::detail::FileSystem& files) {
  return std::make_unique<kvstore::JsonJournal>(
      "/sim/data.json", kvstore::JsonJournalOptions{.record = kvstore::Record::at_save}, files);
}

/// All storages under test. A new one is one more line here.
[[nodiscard]] inline const std::vector<StorageKind>& storage_kinds() {
  static const std::vector<StorageKind> kinds{
      {"JsonFile", open_storage<kvstore::JsonFile, kBlock>, false, {"data.json"}},
      {"JsonJournal",
       open_storage<kvstore::JsonJournal>,
       true,
       {"data.json", "data.json.journal", "data.json.journal.next", "data.json.journal.torn"}},
      {"JsonJournal, zeroing ahead",
       open_storage<kvstore::JsonJournal, kTinySpace>,
       true,
       {"data.json", "data.json.journal", "data.json.journal.next", "data.json.journal.torn"}},
      {"JsonJournal, staged",
       open_storage<kvstore::JsonJournal, kStagedSpace>,
       true,
       {"data.json", "data.json.journal", "data.json.journal.next", "data.json.journal.torn"}},
      {"JsonJournal, at save",
       open_marked_journal,
       true,
       {"data.json", "data.json.journal", "data.json.journal.next", "data.json.journal.torn"},
       false},
  };
  return kinds;
}

/// Options with which no thread of the store acts by itself, as long as no save fails.
[[nodiscard]] inline kvstore::Options quiet_options(std::size_t batch_size) {
  return {.batch_size = batch_size, .auto_save_interval = std::chrono::milliseconds{0}, .segments = 1};
}

[[nodiscard]] inline std::string describe(const State& state) {
  std::string words = "{";
  for (const auto& [key, value] : state) words += ' ' + key + '=' + std::to_string(value);
  return words + " }";
}

/// The states that a store went through, and the number of the oldest state that a crash may bring back:
/// `durable` after power loss, `acknowledged` after a kill if the storage promises that.
class Timeline {
 public:
  Timeline(State start, std::size_t batch_size) : batch_size_{batch_size}, states_{std::move(start)} {}

  /// Records the call of a step of `operations` that happen together.
  void begin(State next, std::size_t operations) {
    states_.push_back(std::move(next));
    operations_.push_back(operations);
  }
  /// Records that the last step has returned: fewer than `batch_size` operations are not on disk.
  void acknowledge() {
    acknowledged_ = begun();
    if (batch_size_ == 0) return;
    std::size_t unsaved = 0;
    std::size_t oldest = begun();
    while (oldest > durable_ && unsaved + operations_[oldest] < batch_size_) unsaved += operations_[oldest--];
    durable_ = oldest;
  }
  /// Records that a save has returned.
  void save() { durable_ = acknowledged_ = begun(); }

  [[nodiscard]] const State& now() const { return states_.back(); }
  [[nodiscard]] std::size_t begun() const { return states_.size() - 1; }
  [[nodiscard]] std::size_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::size_t durable() const { return durable_; }
  /// The states with the numbers `first` to `last`.
  [[nodiscard]] std::span<const State> states(std::size_t first, std::size_t last) const {
    return std::span{states_}.subspan(first, last - first + 1);
  }

 private:
  std::size_t batch_size_;
  std::vector<State> states_;
  std::vector<std::size_t> operations_{0};  // number in the step to each state
  std::size_t durable_ = 0;
  std::size_t acknowledged_ = 0;
};

enum class Verb { create, update, remove, batch, clear, save, compact, close, replace };

inline constexpr std::array kVerbs{Verb::create, Verb::update,  Verb::remove, Verb::batch,  Verb::clear,
                                   Verb::save,   Verb::compact, Verb::close,  Verb::replace};

using Workload = std::vector<Verb>;

[[nodiscard]] inline std::string describe(const Workload& workload) {
  static constexpr std::array<std::string_view, kVerbs.size()> kNames{
      "create", "update", "remove", "batch", "clear", "save", "compact", "close", "replace"};
  std::string words;
  for (const Verb verb : workload) words += std::string{kNames[static_cast<std::size_t>(verb)]} + ' ';
  return words;
}

/// A process that works with one store. Every call to the disk goes through `files`.
class Session {
 public:
  Session(const StorageKind& kind, std::unique_ptr<SimulatedDisk> disk, State start, std::size_t batch_size)
      : kind_{kind},
        batch_size_{batch_size},
        disk_{std::move(disk)},
        files_{*disk_},
        timeline_{std::move(start), batch_size} {}

  [[nodiscard]] SimulatedDisk& disk() { return *disk_; }
  [[nodiscard]] FaultFileSystem& files() { return files_; }
  [[nodiscard]] const StorageKind& kind() const { return kind_; }
  [[nodiscard]] const Timeline& timeline() const { return timeline_; }
  /// Null while the store is closed.
  [[nodiscard]] Store* store() { return store_.get(); }

  /// Opens the store unless it is open. @returns false if that threw a StorageError
  bool open() {
    return unless_refused([&] {
      if (!store_) store_ = std::make_unique<Store>(kind_.make(files_), quiet_options(batch_size_));
    });
  }

  /// Opens the store if need be, and performs `verb`. @returns false if either threw a StorageError
  bool run(Verb verb) {
    return open() && unless_refused([&] { perform(verb); });
  }

  /// The message of the last StorageError.
  [[nodiscard]] const std::string& refusal() const { return refusal_; }

 private:
  template <class Do>
  bool unless_refused(const Do& action) {
    try {
      action();
      return true;
    } catch (const kvstore::StorageError& error) {
      refusal_ = error.what();
      return false;
    }
  }

  void perform(Verb verb) {
    ++step_;
    State next = timeline_.now();
    switch (verb) {
      case Verb::create:
        return create(std::move(next));
      case Verb::update:
        return update(std::move(next));
      case Verb::remove:
        return remove(std::move(next));
      case Verb::batch:
        return batch(std::move(next));
      case Verb::clear:
        return step({}, next.empty() ? 0 : 1, [&] { store_->clear(); });
      case Verb::save:
        store_->save();
        return timeline_.save();
      case Verb::compact:
        store_->compact();
        return timeline_.save();
      case Verb::close:
        store_->close();
        timeline_.save();
        return store_.reset();
      case Verb::replace:
        return replace();
    }
  }

  void create(State next) {
    const std::string key = 'c' + std::to_string(step_);
    next[key] = step_;
    step(std::move(next), 1, [&] { store_->create(key, step_); });
  }
  void update(State next) {
    const std::string key = next.empty() ? "missing" : next.rbegin()->first;
    const std::size_t operations = next.empty() ? 0 : 1;
    if (operations != 0) next[key] = step_;
    step(std::move(next), operations, [&] { store_->try_update(key, step_); });
  }
  void remove(State next) {
    const std::string key = next.empty() ? "missing" : next.begin()->first;
    const std::size_t operations = next.erase(key);
    step(std::move(next), operations, [&] { store_->try_remove(key); });
  }
  void batch(State next) {
    const std::string key = 'b' + std::to_string(step_);
    kvstore::WriteBatch<std::string, int> both;
    const std::string other = next.empty() ? "first" : next.begin()->first;
    if (step_ % 2 == 0 && next.erase(other) != 0)
      both.remove(other);
    else
      both.upsert(other, next[other] = -step_);
    next[key] = step_;
    both.create(key, step_);
    step(std::move(next), 2, [&] { store_->apply(both); });
  }

  /// Replaces every entry at once, from another storage. The result is saved when this returns.
  void replace() {
    const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
    contents->entries = {{"a", std::to_string(-step_)}, {"r", std::to_string(step_)}};
    kvstore::MemoryStorage from{contents};
    timeline_.begin({{"a", -step_}, {"r", step_}}, 1);
    store_->load_from(from);
    timeline_.save();
  }

  /// Records a step only if there is something to change.
  template <class Do>
  void step(State next, std::size_t operations, const Do& action) {
    if (operations != 0) timeline_.begin(std::move(next), operations);
    action();
    if (operations != 0) timeline_.acknowledge();
  }

  const StorageKind& kind_;
  std::size_t batch_size_;
  std::unique_ptr<SimulatedDisk> disk_;
  FaultFileSystem files_;
  Timeline timeline_;
  std::unique_ptr<Store> store_;
  std::string refusal_;
  int step_ = 0;
};

/// The disk that a store leaves when it is closed with the contents `state`; an empty disk for an empty
/// state.
[[nodiscard]] inline DiskImage image_with(const StorageKind& kind, const State& state) {
  const RepeatableRandom same_names{std::uint64_t{1} << 60U};
  SimulatedDisk disk;
  if (!state.empty()) {
    Store store{kind.make(disk), quiet_options(0)};
    for (const auto& [key, value] : state) store.create(key, value);
    store.close();
  }
  return disk.visible();
}

}  // namespace support
