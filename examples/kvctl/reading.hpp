// SPDX-License-Identifier: MIT
#pragma once

// The commands that only read: also while another process has the store open. They take no lock.

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <kvstore/detail/json_file/entry_writer.hpp>
#include <kvstore/migrate.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "arguments.hpp"
#include "entries.hpp"
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

inline Status ls(const Arguments& arguments, Output& out) {
  const auto storage = open_to_read(find_existing(arguments.path, arguments.storage));
  const bool is_object = arguments.json && arguments.values;
  std::string_view separator = is_object ? "{\n" : "[\n";
  for_each_entry(*storage, [&](std::string_view key, std::string_view value) {
    if (!key.starts_with(arguments.prefix)) return;
    if (arguments.json) {
      out.append(separator);
      out.append_json(to_json(key));
      separator = ",\n";
    } else {
      out.append_key(key);
    }
    if (arguments.values) {
      out.append(arguments.json ? ": " : "\t");
      out.append_json(value);
    }
    if (!arguments.json) out.append("\n");
  });
  if (!arguments.json) return kDone;
  const bool empty = separator != ",\n";
  out.append(is_object ? (empty ? "{}\n" : "\n}\n") : (empty ? "[]\n" : "\n]\n"));
  return kDone;
}

// ---- export ---------------------------------------------------------------------------------------------

/// Each entry on one line, checked on its way.
class CheckedStorage final : public kvstore::Storage {
 public:
  explicit CheckedStorage(kvstore::Storage& storage) : storage_{storage} {}
  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    CheckedSink checked{sink};
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
};

class OneLineSource final : public kvstore::ChangeSource {
 public:
  explicit OneLineSource(kvstore::ChangeSource& source)
      : ChangeSource{source.scope(), source.schema_version()}, source_{source} {}
  bool next(kvstore::Change& change) override {
    if (!source_.next(change)) return false;
    if (change.value && change.value->find_first_of("\r\n") != std::string_view::npos) {
      line_ = on_one_line(*change.value);
      change.value = line_;
    }
    return true;
  }

 private:
  kvstore::ChangeSource& source_;
  std::string line_;
};

/// Standard output as `write_json_entries` wants it.
struct ExportOutput {
  Output& out;
  void append(std::string_view text) { out.append(out.terminal() ? visible_lines(text) : std::string{text}); }

 private:
  /// The line feeds between entries are our own.
  static std::string visible_lines(std::string_view text) {
    std::string lines;
    for (std::size_t feed = text.find('\n'); feed != std::string_view::npos; feed = text.find('\n')) {
      lines += visible_json(text.substr(0, feed)) + '\n';
      text.remove_prefix(feed + 1);
    }
    return lines + visible_json(text);
  }
};

inline Status export_entries(const Arguments& arguments, Output& out) {
  const auto storage = open_to_read(find_existing(arguments.path, arguments.storage));
  const bool to_file = !arguments.other.empty() && arguments.other != "-";
  if (to_file && !arguments.replace && find_place(arguments.other, "json").exists) {
    throw Failure{kNoSuchKey, arguments.other + ": exists already; name a new file, or say --replace"};
  }
  CheckedStorage checked{*storage};
  kvstore::detail::EntryPipe pipe{to_file};
  const std::jthread reader{[&] { pipe.fill_from(checked); }};
  kvstore::detail::PipeSource entries{pipe};  // destroyed before the reader is waited for
  OneLineSource lines{entries};
  if (to_file) {
    refuse_read_only(arguments.other);
    kvstore::JsonFile{arguments.other}.save(lines);
    return kDone;
  }
  ExportOutput output{out};
  kvstore::detail::write_json_entries(output, lines);
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
  std::uintmax_t journal_bytes = 0;  ///< of all journals, or of SQLite's write-ahead log
  std::uint32_t version = 0;
  std::string largest_key;
  std::uint64_t largest_bytes = 0;
  std::optional<LockHolder> holder;
};

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
  for (const char* suffix : kJournals) figures.journal_bytes += size_of(beside(place.path, suffix));
  if (place.kind == Kind::sqlite) figures.journal_bytes = size_of(beside(place.path, "-wal"));
  figures.holder = find_lock_holder(place.path);
  return figures;
}

[[nodiscard]] inline std::string json_of(const Place& place, const Figures& figures) {
  const bool held = figures.holder && figures.holder->holds;
  const std::string largest = "{\"key\": " + to_json(figures.largest_key) +
                              ", \"bytes\": " + std::to_string(figures.largest_bytes) + "}";
  return "{\"path\": " + to_json(place.path.string()) + ", \"storage\": \"" + name_of(place.kind) +
         "\", \"entries\": " + std::to_string(figures.entries) +
         ", \"bytes\": " + std::to_string(figures.file_bytes) +
         ", \"journal_bytes\": " + std::to_string(figures.journal_bytes) +
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
    out.append_key(value);
    out.append("\n");
  };
  line("storage         ", name_of(place.kind));
  line("entries         ", std::to_string(figures.entries));
  line("bytes           ", std::to_string(figures.file_bytes));
  line("journal bytes   ", std::to_string(figures.journal_bytes));
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
