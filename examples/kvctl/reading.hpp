// SPDX-License-Identifier: MIT
#pragma once

// The commands that only read: also while another process has the store open. They take no lock.

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <kvstore/journal_lines.hpp>
#include <kvstore/migrate.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "acting_user.hpp"
#include "arguments.hpp"
#include "entries.hpp"
#include "fresh_target.hpp"
#include "lock_holder.hpp"
#include "output.hpp"
#include "places.hpp"

namespace kvctl {

/// Calls `visit(key, value)` for each entry of a store.
template <class Visit>
void for_each_entry(kvstore::Storage& storage, Visit visit) {
  VisitingSink<Visit> sink{std::move(visit)};
  load(storage, {.purpose = kvstore::LoadPurpose::copy}, sink);
}

inline Status get(const Arguments& arguments, Output& out) {
  const auto storage = open_to_read(find_existing(arguments.path, arguments.storage));
  const std::string& key = arguments.key;
  std::optional<std::string> found;
  for_each_entry(*storage, [&](std::string_view at, std::string_view value) {
    if (at == key) found.emplace(value);
  });
  if (!found) throw Failure{kNoSuchKey, arguments.path + ": key " + shown(key) + " does not exist"};
  out.append_json(*found);
  out.append("\n");
  return kDone;
}

/// Prints a list of entries as the arguments want it: keys alone or with values, in lines or as JSON.
class Listing {
 public:
  Listing(const Arguments& arguments, Output& out)
      : json_{arguments.json},
        values_{arguments.values},
        separator_{json_ && values_ ? "{\n" : "[\n"},
        out_{out} {}

  void add(std::string_view key, std::string_view value) {
    if (json_) {
      out_.append(separator_);
      out_.append_json(to_json(key));
      separator_ = ",\n";
    } else {
      out_.append_key(key);
    }
    if (values_) {
      out_.append(json_ ? ": " : "\t");
      out_.append_json(value);
    }
    if (!json_) out_.append("\n");
  }
  void end() {
    if (!json_) return;
    const bool empty = separator_ != ",\n";
    out_.append(values_ ? (empty ? "{}\n" : "\n}\n") : (empty ? "[]\n" : "\n]\n"));
  }

 private:
  bool json_;
  bool values_;
  std::string_view separator_;
  Output& out_;
};

inline Status ls(const Arguments& arguments, Output& out) {
  const auto storage = open_to_read(find_existing(arguments.path, arguments.storage));
  Listing listing{arguments, out};
  for_each_entry(*storage, [&](std::string_view key, std::string_view value) {
    if (key.starts_with(arguments.prefix)) listing.add(key, value);
  });
  listing.end();
  return kDone;
}

inline Status watch(const Arguments& arguments, Output&) {
  throw Failure{kUsage, arguments.path + ": only etcd tells of changes: etcd://HOST:PORT/PREFIX"};
}

// ---- export ---------------------------------------------------------------------------------------------

/// Passes entries on, each value on one line.
class OneLineSink final : public kvstore::LoadSink {
 public:
  explicit OneLineSink(kvstore::LoadSink& sink) : sink_{sink} {}
  void expect(std::uint64_t bytes) override { sink_.expect(bytes); }
  void schema_version(std::uint32_t stored) override { sink_.schema_version(stored); }
  void put(std::string_view key, std::string_view value) override { sink_.put(key, on_one_line(value)); }
  void finish() override { sink_.finish(); }
  void change(const kvstore::Change& change) override { sink_.change(change); }
  void clear() override { sink_.clear(); }

 private:
  kvstore::LoadSink& sink_;
};

/// A storage to copy from: its entries are checked on their way, and put on one line each if that is wanted.
class CheckedStorage final : public kvstore::Storage {
 public:
  explicit CheckedStorage(kvstore::Storage& storage, bool one_line = false)
      : storage_{storage}, one_line_{one_line} {}
  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    OneLineSink lines{sink};
    CheckedSink checked{one_line_ ? static_cast<kvstore::LoadSink&>(lines) : sink};
    kvctl::load(storage_, request, checked);
  }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return storage_.scope(); }
  void save(kvstore::ChangeSource& source) override { storage_.save(source); }
  [[nodiscard]] bool keeps_schema_version() const noexcept override {
    return storage_.keeps_schema_version();
  }
  [[nodiscard]] std::filesystem::path path() const override { return storage_.path(); }

 private:
  kvstore::Storage& storage_;
  bool one_line_;
};

/// Writes entries to standard output, as a JSON file has them.
class ExportSink final : public kvstore::LoadSink {
 public:
  explicit ExportSink(Output& out) : out_{out} {}
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t stored) override {
    if (stored != 0) append(kvstore::kSchemaVersionKey, std::to_string(stored));
  }
  void put(std::string_view key, std::string_view value) override { append(key, value); }
  void finish() override {
    if (std::exchange(finished_, true)) return;
    out_.append(empty_ ? "{}\n" : "\n}\n");
  }
  void change(const kvstore::Change&) override {}  // a copy has none
  void clear() override {}

 private:
  void append(std::string_view key, std::string_view value) {
    out_.append(empty_ ? "{\n" : ",\n");
    empty_ = false;
    out_.append_json(to_json(key) + ": ");
    out_.append_json(value);
  }

  Output& out_;
  bool empty_ = true;
  bool finished_ = false;
};

inline Status export_entries(const Arguments& arguments, Output& out) {
  const bool to_file = !arguments.other.empty() && arguments.other != "-";
  if (to_file) act_as_owner(arguments.path, arguments.other);
  const Place source = find_existing(arguments.path, arguments.storage);
  const auto storage = open_to_read(source);
  if (!to_file) {
    ExportSink sink{out};
    CheckedSink checked{sink};
    load(*storage, {.purpose = kvstore::LoadPurpose::copy}, checked);
    return kDone;
  }
  const Place target = find_place(arguments.other, "json");
  CheckedStorage from{*storage, true};
  if (target.exists) {
    if (!arguments.replace)
      throw Failure{kNoSuchKey, arguments.other + ": exists already; name a new file, or say --replace"};
    check_writable(target.path);
    kvstore::JsonFile to{target.path};
    kvstore::migrate(from, to, {.replace = true});
    return kDone;
  }
  FreshTarget fresh{source, target, arguments.other};
  {
    kvstore::JsonFile to{fresh.place().path};
    kvstore::migrate(from, to);
  }
  fresh.publish();
  return kDone;
}

// ---- stat -----------------------------------------------------------------------------------------------

[[nodiscard]] inline std::uintmax_t size_of(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

struct Figures {
  std::uint64_t entries = 0;
  std::uintmax_t file_bytes = 0;
  std::uint64_t journal_bytes = 0;  ///< of the lines of all journals, or of SQLite's write-ahead log
  std::uint64_t changes = 0;        ///< in those lines
  std::uint32_t version = 0;
  std::string largest_key;
  std::uint64_t largest_bytes = 0;
  std::optional<LockHolder> holder;
};

/// Counts the changes in the lines of a journal.
class ChangeCount final : public kvstore::JournalHandler {
 public:
  explicit ChangeCount(std::uint64_t& changes) noexcept : changes_{changes} {}
  void on_header(const kvstore::JournalHeader&) override {}
  void on_base(const kvstore::BaseId&) override {}
  void on_change(const kvstore::Change&) override { ++changes_; }
  void on_clear() override { ++changes_; }

 private:
  std::uint64_t& changes_;
};

/// Adds the lines of a journal. The space that its writer has allocated ahead does not count.
inline void add_journal(const fs::path& path, Figures& figures) {
  kvstore::JournalLines lines{path};
  ChangeCount count{figures.changes};
  try {
    while (lines.next()) lines.read(count);
  } catch (const kvstore::Error&) {  // the store was read before: its writer is at work
  }
  figures.journal_bytes += lines.end();
}

[[nodiscard]] inline Figures measure(const Place& place) {
  Figures figures;
  const auto storage = open_to_read(place);
  auto count = [&](std::string_view key, std::string_view value) {
    if (figures.entries++ != 0 && value.size() <= figures.largest_bytes) return;
    figures.largest_bytes = value.size();
    figures.largest_key = key;
  };
  VisitingSink<decltype(count)&> sink{count};
  CheckedSink checked{sink};
  load_for_a_person(*storage, {.purpose = kvstore::LoadPurpose::copy}, checked);
  figures.version = checked.version();
  figures.file_bytes = size_of(place.path);
  if (place.kind == Kind::journal) {
    for (const char* suffix : kJournals) add_journal(beside(place.path, suffix), figures);
  }
  if (place.kind == Kind::sqlite) figures.journal_bytes = size_of(beside(place.path, "-wal"));
  figures.holder = find_lock_holder(place.path);
  return figures;
}

[[nodiscard]] inline std::string json_of(const Place& place, const Figures& figures) {
  const bool held = figures.holder && figures.holder->holds;
  const std::string largest = "{\"key\": " + to_json(figures.largest_key) +
                              ", \"bytes\": " + std::to_string(figures.largest_bytes) + "}";
  return "{\"path\": " + to_json(readable(place.path.string())) + ", \"storage\": \"" + name_of(place.kind) +
         "\", \"entries\": " + std::to_string(figures.entries) +
         ", \"bytes\": " + std::to_string(figures.file_bytes + figures.journal_bytes) +
         ", \"file_bytes\": " + std::to_string(figures.file_bytes) +
         ", \"journal_bytes\": " + std::to_string(figures.journal_bytes) +
         ", \"journaled_changes\": " + std::to_string(figures.changes) +
         ", \"schema_version\": " + std::to_string(figures.version) +
         ", \"largest_value\": " + (figures.entries == 0 ? "null" : largest) +
         ", \"locked_by\": " + (held ? std::to_string(figures.holder->process) : "null") + "}";
}

inline Status stat(const Arguments& arguments, Output& out) {
  const Place place = find_existing(arguments.path, arguments.storage);
  const Figures figures = measure(place);
  if (arguments.json) {
    out.append_json(json_of(place, figures));
    out.append("\n");
    return kDone;
  }
  const auto line = [&](const char* name, const std::string& value) {
    out.append(name);
    out.append_message(value);
  };
  line("storage         ", name_of(place.kind));
  line("entries         ", std::to_string(figures.entries));
  line("bytes           ", std::to_string(figures.file_bytes + figures.journal_bytes));
  line("  in the file   ", std::to_string(figures.file_bytes));
  if (place.kind != Kind::json) line("  in the journal ", std::to_string(figures.journal_bytes));
  if (place.kind == Kind::journal)
    line("journaled       ", std::to_string(figures.changes) + " changes since the last compaction");
  line("schema version  ", std::to_string(figures.version));
  if (figures.entries != 0) {
    line("largest value   ",
         std::to_string(figures.largest_bytes) + " bytes, of key " + shown(figures.largest_key));
  }
  const std::string process = figures.holder ? std::to_string(figures.holder->process) : "";
  line("lock            ", !figures.holder ? "free"
                           : figures.holder->holds
                               ? "held by process " + process
                               : "free; process " + process + " ended without releasing it");
  return kDone;
}

}  // namespace kvctl
