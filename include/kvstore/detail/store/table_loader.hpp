// SPDX-License-Identifier: MIT
#pragma once

// Fills the tables of a store that opens: first the entries, straight into their segment's vector, then each
// index in one pass.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/change/stored_key.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/progress_count.hpp"
#include "kvstore/detail/store/table_parts.hpp"
#include "kvstore/detail/store/value_loader.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/tables.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_writer.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/log.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::size_t kDefaultSegments = 256;
inline constexpr std::size_t kMaxSegments = 65536;

template <class Key, class Value, class HashOf, class KeyEqual>
class TableLoader final : public LoadSink {
 public:
  using Table = DenseMap<Key, Value>;
  using Tables = detail::Tables<Key, Value>;

  /// `segments` = 0 leaves the number to what comes. `hash_of` is a `KeyHasher`. `options` and
  /// `observer` outlive it.
  TableLoader(std::size_t segments, HashOf hash_of, KeyEqual equal, const Options& options,
              const Observer& observer)
      : fixed_{segments != 0},
        tables_(std::bit_ceil(fixed_ ? segments : kDefaultSegments)),
        hash_of_{std::move(hash_of)},
        equal_{std::move(equal)},
        values_{options, observer.path()},
        threads_{threads_to_load(options.threads)},
        progress_{options.on_progress},
        observer_{observer} {}

  void expect(std::uint64_t bytes) override {
    expected_ = bytes;
    constexpr std::uint64_t kSegmentBytes = std::uint64_t{256} << 10;
    is_large_ = bytes >= kLarge;
    if (fixed_ || count_.entries != 0) return;
    const std::uint64_t wanted =
        std::clamp<std::uint64_t>(bytes / kSegmentBytes, kDefaultSegments, kMaxSegments);
    tables_ = Tables{std::bit_ceil(static_cast<std::size_t>(wanted))};
  }

  void schema_version(std::uint32_t stored) override { values_.stored_version(stored); }

  void put(std::string_view key_text, std::string_view value_text) override {
    check_loading();
    add(parse(key_text, value_text));
    count(1, key_text.size() + value_text.size());
  }

  [[nodiscard]] std::unique_ptr<LoadStage> stage() override {
    if (values_.outdated()) return nullptr;  // Options::upgrade is not called by two threads at once
    return std::make_unique<Stage>(*this);
  }

  void finish() override {
    if (std::exchange(finished_, true)) return;
    for_each_index(tables_.size(), is_large_ ? threads_ : 1, [this](std::size_t i) {
      const std::size_t twice = tables_[i].build_index(equal_, HashOf::kSeeded);
      if (twice != Table::kNone) throw DuplicateEntryError{text_of(tables_[i][twice].key)};
    });
    report(true);
  }

  void change(const Change& change) override {
    Step step = parse(change);
    parts().apply(step);
    count(1, bytes_of(change));
  }

  [[nodiscard]] std::unique_ptr<ChangeStage> change_stage() override {
    if (values_.outdated()) return nullptr;  // as `stage`
    return std::make_unique<Changes>(*this);
  }

  void clear() override {
    for (std::size_t part = 0; part < parts().size(); ++part) parts().clear(part);
  }

  void note(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override {
    observer_.log(level, event, fields);
  }

  [[nodiscard]] std::uint64_t entries() const noexcept { return count_.entries; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return count_.bytes; }
  [[nodiscard]] Tables take() && { return std::move(tables_); }
  [[nodiscard]] std::uint32_t stored_version() const noexcept { return values_.stored_version(); }
  /// Whether the stored values have another schema version than the program's.
  [[nodiscard]] bool outdated() const noexcept { return values_.outdated(); }

 private:
  using Parts = TableParts<Key, Value, HashOf, KeyEqual>;
  using Step = typename Parts::Step;

  static constexpr std::uint64_t kLarge = std::uint64_t{4} << 20;  // from here on, threads build indexes

  struct Parsed {
    std::uint64_t hash;
    Key key;
    Value value;
  };

  /// Entries that another thread has read ahead, in order.
  class Stage final : public LoadStage {
   public:
    explicit Stage(TableLoader& loader) noexcept : loader_{loader} {}

    void put(std::string_view key_text, std::string_view value_text) override {
      entries_.push_back(loader_.parse(key_text, value_text));
      bytes_ += key_text.size() + value_text.size();
    }
    void commit() override {
      loader_.check_loading();
      for (Parsed& entry : entries_) loader_.add(std::move(entry));
      loader_.count(entries_.size(), bytes_);
      clear();
    }
    void clear() noexcept override {
      entries_.clear();
      bytes_ = 0;
    }

   private:
    TableLoader& loader_;
    std::vector<Parsed> entries_;
    std::size_t bytes_ = 0;
  };

  /// Changes that another thread has read ahead.
  class Changes final : public ChangeStage {
   public:
    explicit Changes(TableLoader& loader) : loader_{loader}, steps_{loader.parts()} {}

    void change(const Change& change) override {
      steps_.add(loader_.parse(change));
      ++changes_;
      bytes_ += bytes_of(change);
    }
    void clear() override { steps_.clear(); }
    [[nodiscard]] std::size_t parts() const noexcept override { return loader_.parts_->size(); }
    void apply(std::size_t part) override { steps_.apply(part); }
    void finish() override {
      loader_.count(changes_, bytes_);
      forget();
    }
    void forget() noexcept override {
      steps_.forget();
      changes_ = 0;
      bytes_ = 0;
    }

   private:
    TableLoader& loader_;
    StagedSteps<Parts> steps_;
    std::size_t changes_ = 0;
    std::size_t bytes_ = 0;
  };

  /// The tables, to be changed.
  [[nodiscard]] Parts& parts() {
    finish();
    return parts_ ? *parts_ : parts_.emplace(tables_, equal_);
  }

  /// An entry that came later would not be in the index.
  void check_loading() const {
    if (finished_)
      throw UsageError{
          "a storage that loads calls put() after finish(), change() or clear(); hand over later entries "
          "through change()"};
  }

  /// Several threads may call this at once.
  [[nodiscard]] Parsed parse(std::string_view key_text, std::string_view value_text) const {
    Key key = parse_stored_key<Key>(key_text);
    Value value = values_.parse(key_text, value_text);
    const std::uint64_t hash = hash_of_(key);
    return {hash, std::move(key), std::move(value)};
  }

  /// Several threads may call this at once.
  [[nodiscard]] Step parse(const Change& change) const {
    Key key = change.value ? parse_stored_key<Key>(change.key) : parse_entry_key<Key>(change.key);
    std::optional<Value> value;
    if (change.value) value.emplace(values_.parse(change.key, *change.value));
    const std::uint64_t hash = hash_of_(key);
    return {hash, std::move(key), std::move(value)};
  }
  [[nodiscard]] static std::size_t bytes_of(const Change& change) noexcept {
    return change.key.size() + (change.value ? change.value->size() : 0);
  }

  void add(Parsed&& entry) {
    tables_.of(entry.hash).append(entry.hash, std::move(entry.key), std::move(entry.value));
  }

  void count(std::size_t entries, std::size_t bytes) {
    if (count_.add(entries, bytes)) report(false);
  }

  void report(bool finished) const {
    if (!progress_) return;
    const double part =
        expected_ == 0 ? 0 : static_cast<double>(count_.bytes) / static_cast<double>(expected_);
    progress_(
        {Progress::Phase::load, count_.entries, count_.bytes, finished ? 1 : std::min(part, 1.0), finished});
  }

  [[nodiscard]] static std::string text_of(const Key& key) {
    JsonWriter text;
    KeyText<Key>::append(key, text);
    return std::string{text.text()};
  }

  bool fixed_;
  Tables tables_;
  HashOf hash_of_;
  KeyEqual equal_;
  ValueLoader<Value> values_;
  std::size_t threads_;  // the number that build indexes
  const std::function<void(const Progress&)>& progress_;
  const Observer& observer_;
  std::uint64_t expected_ = 0;  // bytes
  ProgressCount count_;
  bool is_large_ = false;  // the load is large
  bool finished_ = false;
  std::optional<Parts> parts_;  // of `tables_`, once changes come
};

}}}  // namespace kvstore::v1::detail
