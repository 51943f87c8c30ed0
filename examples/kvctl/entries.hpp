// SPDX-License-Identifier: MIT
#pragma once

// Entries as text: keys, and the JSON of values byte by byte, so that 1.0 stays 1.0 and a number of thirty
// digits loses none.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <kvstore/kvstore.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../progress_bar.hpp"
#include "outcome.hpp"
#include "text.hpp"

namespace kvctl {

/// Keys, and what is known of each. A stranger may have chosen keys that std::hash sends to one place; this
/// store then goes over to a hash with a secret.
template <class Known>
using KeyTable = kvstore::KeyValueStore<std::string, Known>;
using KeySet = KeyTable<bool>;

[[nodiscard]] inline std::string shown(std::string_view key) {
  return kvstore::KeyText<std::string>::for_message(key);
}

/// Checks that the key of a stored entry is one that a store can have. @throws kvstore::ParseError
inline void check_stored_key(std::string_view key) {
  if (!is_utf8(key)) throw kvstore::ParseError{0, "expected a key of valid UTF-8"};
  if (key != kvstore::kSchemaVersionKey) return;
  throw kvstore::ParseError{0,
                            "expected no entry named " + shown(key) +
                                ", under which JSON files keep the schema version: no program opens such a "
                                "store; rename that entry"};
}

/// Checks the grammar of a value. @throws kvstore::ParseError
inline void check_grammar(std::string_view json) {
  kvstore::JsonReader in{json};
  in.skip_value();
  in.finish();
}

/// Checks it as strictly as the strictest reader: no key twice in an object, no number beyond a double. What
/// is written must load again. @throws kvstore::ParseError
inline void check_strictly(std::string_view json) {
  kvstore::JsonReader in{json, true};  // the tree may round numbers, since the text is kept
  static_cast<void>(kvstore::Codec<nlohmann::json>::decode(in));
  in.finish();
}

/// The integer whose text a key is, and no other text: "042" and "+5" are none.
[[nodiscard]] inline bool is_integer(std::string_view key) {
  const char* const end = key.data() + key.size();
  const auto reads_back = [&](auto number) {
    const auto parsed = std::from_chars(key.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end && std::to_string(number) == key;
  };
  return reads_back(std::int64_t{}) || reads_back(std::uint64_t{});
}

/// Checks entries on their way to another sink: valid text, each key once.
class CheckedSink final : public kvstore::LoadSink {
 public:
  using Check = void (*)(std::string_view);
  explicit CheckedSink(kvstore::LoadSink& sink, Check check_value = check_grammar)
      : sink_{sink}, check_{check_value} {}

  /// Shows how far it is.
  void show(ProgressBar& bar) noexcept { bar_ = &bar; }

  void expect(std::uint64_t bytes) override {
    expected_ = bytes;
    sink_.expect(bytes);
  }
  void schema_version(std::uint32_t stored) override {
    version_ = stored;
    sink_.schema_version(stored);
  }
  void put(std::string_view key, std::string_view value) override {
    check(key, value);
    if (!keys_.try_create(std::string{key}, true) && !twice_) twice_.emplace(key);
    sink_.put(key, value);
  }
  void finish() override {
    if (twice_) throw kvstore::DuplicateEntryError{*twice_};
    sink_.finish();
  }
  void change(const kvstore::Change& change) override {
    if (change.value) {
      check(change.key, *change.value);
      keys_.upsert(std::string{change.key}, true);
    } else {
      keys_.try_remove(change.key);
    }
    sink_.change(change);
  }
  void clear() override {
    keys_.clear();
    sink_.clear();
  }

  [[nodiscard]] std::size_t entries() const { return keys_.size(); }
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }

 private:
  void check(std::string_view key, std::string_view value) {
    bytes_ += key.size() + value.size();
    if (bar_ != nullptr && expected_ != 0 && ++checked_ % 4096 == 0)
      (*bar_)(static_cast<double>(bytes_) / static_cast<double>(expected_));
    check_stored_key(key);
    check_(value);
  }

  kvstore::LoadSink& sink_;
  Check check_;
  KeySet keys_;
  std::optional<std::string> twice_;
  std::uint32_t version_ = 0;
  ProgressBar* bar_ = nullptr;
  std::uint64_t expected_ = 0;  // bytes
  std::uint64_t bytes_ = 0;
  std::uint64_t checked_ = 0;
};

/// Loads a storage, and says of which file an entry was bad. A storage that knows offsets has said more.
inline void load(kvstore::Storage& storage, const kvstore::LoadRequest& request, CheckedSink& checked) {
  try {
    storage.load(request, checked);
    checked.finish();
  } catch (const kvstore::ParseError& error) {
    throw kvstore::CorruptionError{storage.path(), "an entry", error.what()};
  } catch (const kvstore::DuplicateEntryError& error) {
    throw kvstore::CorruptionError{storage.path(), "an entry", std::string{"found a "} + error.what()};
  }
}
/// The same for a person who waits.
inline void load_for_a_person(kvstore::Storage& storage, const kvstore::LoadRequest& request,
                              CheckedSink& checked) {
  ProgressBar bar{"reading"};
  checked.show(bar);
  load(storage, request, checked);
}
inline void load(kvstore::Storage& storage, const kvstore::LoadRequest& request, kvstore::LoadSink& sink) {
  CheckedSink checked{sink};
  load_for_a_person(storage, request, checked);
}

/// Passes nothing on.
class NoSink final : public kvstore::LoadSink {
 public:
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t) override {}
  void put(std::string_view, std::string_view) override {}
  void finish() override {}
  void change(const kvstore::Change&) override {}
  void clear() override {}
};

/// Calls a function for each entry, in the order in which a storage hands them over.
template <class Visit>
class VisitingSink final : public kvstore::LoadSink {
 public:
  explicit VisitingSink(Visit visit) : visit_{visit} {}
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t) override {}
  void put(std::string_view key, std::string_view value) override { visit_(key, value); }
  void finish() override {}
  void change(const kvstore::Change&) override {}  // a copy has none
  void clear() override {}

 private:
  Visit visit_;
};

struct Entry {
  std::string key;
  std::optional<std::string> value;  // none = removed
};

/// The entries of a store, in the order in which they were loaded.
class Table final : public kvstore::LoadSink {
 public:
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t stored) override { version = stored; }
  void put(std::string_view key, std::string_view value) override { set(key, value); }
  void finish() override {}
  void change(const kvstore::Change& change) override {
    if (change.value)
      set(change.key, *change.value);
    else
      erase(change.key);
  }
  void clear() override {
    entries_.clear();
    index_.clear();
  }

  [[nodiscard]] bool contains(std::string_view key) const { return index_.contains(key); }
  [[nodiscard]] std::size_t size() const { return index_.size(); }
  /// The value of a key, or null. Lives until the next change.
  [[nodiscard]] const std::string* find(std::string_view key) const {
    const auto at = index_.try_read(key);
    return at ? &*entries_[*at].value : nullptr;
  }
  /// Some of them are removed.
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

  void set(std::string_view key, std::string_view value) {
    if (index_.try_create(std::string{key}, entries_.size()))
      entries_.push_back({std::string{key}, std::string{value}});
    else
      entries_[index_.read(key)].value = value;
  }

  void erase(std::string_view key) {
    if (const auto at = index_.try_read(key)) entries_[*at].value.reset();
    index_.try_remove(key);
  }

  std::uint32_t version = 0;  ///< of the form of the values

 private:
  std::vector<Entry> entries_;
  KeyTable<std::size_t> index_;
};

/// Hands a list of entries to a storage: all there are, or what changed.
class ListSource final : public kvstore::ChangeSource {
 public:
  ListSource(const std::vector<Entry>& entries, kvstore::SaveScope scope, std::uint32_t version)
      : ChangeSource{scope, version}, entries_{entries} {}

  bool next(kvstore::Change& change) override {
    if (scope() == kvstore::SaveScope::everything) {
      while (at_ < entries_.size() && !entries_[at_].value) ++at_;
    }
    if (at_ == entries_.size()) return false;
    const Entry& entry = entries_[at_++];
    change = {entry.key, entry.value ? std::optional<std::string_view>{*entry.value} : std::nullopt};
    return true;
  }

 private:
  const std::vector<Entry>& entries_;
  std::size_t at_ = 0;
};

}  // namespace kvctl
