// SPDX-License-Identifier: MIT
#pragma once

// A store that is opened to be changed: its lock, its entries, and what is to become of them.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entries.hpp"
#include "output.hpp"
#include "places.hpp"

namespace kvctl {

/// Whether a storage can only replace all entries, as a JSON file does.
[[nodiscard]] inline bool wants_all(const kvstore::Storage& storage) {
  return storage.scope() == kvstore::SaveScope::everything;
}

/// Whether an SQLite database has keys that are INTEGER. Loaded as if it had none, it wants to replace them.
[[nodiscard]] inline bool has_integer_keys(const Place& place) {
  if (place.kind != Kind::sqlite || !place.exists || has_no_bytes(place.path)) return false;
  const auto storage = open_to_read(place);
  NoSink none;
  storage->load({.purpose = kvstore::LoadPurpose::copy}, none);
  return wants_all(*storage);
}

/// Opens a storage to write; its keys are integers if they are already, or are to be.
[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_to_write(const Place& place, bool integer_keys) {
  auto storage = open_to_write(place);
  if (!integer_keys || place.kind != Kind::sqlite) return storage;
  return std::make_unique<WithIntegerKeys>(std::move(storage));
}

/// *Durability*: what `commit` has returned from is on disk, as a whole; before, nothing is changed.
class Session {
 public:
  explicit Session(const Place& place, bool integer_keys = false)
      : integer_keys_{integer_keys && place.kind == Kind::sqlite},
        storage_{open_to_write(place, integer_keys)} {
    load(*storage_, {.purpose = kvstore::LoadPurpose::exclusive}, table_);
    if (place.kind == Kind::sqlite && !integer_keys_ && wants_all(*storage_)) load_integer_keys();
    version_ = table_.version;
  }

  [[nodiscard]] const Table& table() const noexcept { return table_; }

  /// The schema version of the values, which a store without entries takes from those that come.
  void schema_version(std::uint32_t version) noexcept { table_.version = version; }

  void put(const std::string& key, const std::string& value) {
    if (integer_keys_ && !is_integer(key)) {
      throw Failure{kUsage,
                    storage_->path().string() + ": its keys are integers, and " + shown(key) + " is none"};
    }
    table_.set(key, value);
    steps_.push_back({key, value});
  }

  void remove(const std::string& key) {
    table_.erase(key);
    steps_.push_back({key, std::nullopt});
  }

  void clear() {
    table_.clear();
    replaces_ = true;
  }

  void commit() {
    if (replaces_ || table_.version != version_) return save_everything();
    if (steps_.empty()) return;
    if (kvstore::Journal* const journal = storage_->journal()) return append(*journal);
    if (wants_all(*storage_)) return save_everything();
    ListSource changes{steps_, kvstore::SaveScope::changes, version_};
    storage_->save(changes);
  }

  void save_everything() {
    ListSource everything{table_.entries(), kvstore::SaveScope::everything, table_.version};
    storage_->save(everything);
  }

 private:
  /// Loads a database of integer keys again as what it is. The first load has taken the lock, looked at the
  /// files beside it and taken back what a program left that was killed within a transaction.
  void load_integer_keys() {
    integer_keys_ = true;
    storage_ = std::make_unique<WithIntegerKeys>(std::move(storage_));
    table_.clear();
    table_.version = 0;
    load(*storage_, {.purpose = kvstore::LoadPurpose::exclusive}, table_);
  }

  void append(kvstore::Journal& journal) {
    std::vector<kvstore::Change> step;
    step.reserve(steps_.size());
    for (const Entry& entry : steps_) {
      step.push_back({entry.key, entry.value ? std::optional<std::string_view>{*entry.value} : std::nullopt});
    }
    if (!journal.append(step)) return save_everything();
    journal.flush();
    journal.sync();
    if (!journal.wants_compaction() || !journal.is_worth_compacting(table_.size())) return;
    try {
      save_everything();
    } catch (const kvstore::StorageError& error) {  // the changes are on disk all the same
      complain(
          std::string{"saved; only the journal could not be compacted, which the next save tries again: "} +
          error.what());
    }
  }

  bool integer_keys_;
  std::unique_ptr<kvstore::Storage> storage_;
  Table table_;
  std::uint32_t version_ = 0;  // as stored
  std::vector<Entry> steps_;
  bool replaces_ = false;
};

}  // namespace kvctl
