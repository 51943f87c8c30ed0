// SPDX-License-Identifier: MIT
#pragma once

// Saves the entries of a damaged JSON file. Behind damage it goes on at the next line that starts as entries
// of this file do, since storages write one a line: with the same indentation, so that no member of some
// entry's value, laid out over several lines by hand, is taken for an entry.

#include <cstddef>
#include <cstdint>
#include <kvstore/codec.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "entries.hpp"
#include "object_reader.hpp"
#include "places.hpp"
#include "salvage.hpp"

namespace kvctl {

class JsonSalvage {
 public:
  /// `text` is the whole file. `path` is for messages.
  JsonSalvage(std::string_view text, const fs::path& path, Salvage& result)
      : text_{text}, path_{path}, result_{result}, damaged_{!is_sound(text)} {}

  void run() {
    begin();
    while (!ended_) step();
  }

 private:
  struct Found {
    std::string key;
    std::string value;
    std::size_t end = 0;  ///< behind it, and behind the comma that follows
    bool bare = false;    ///< neither ',' nor '}' follows, though its line ends
  };

  void begin() {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    skip_space();
    if (at_ < text_.size() && text_[at_] == '{') {
      ++at_;
      return;
    }
    result_.lose(path_.string() + ": byte " + std::to_string(at_) +
                 ": expected '{' at the start of an object");
    at_ = 0;
    resume(at_);
  }

  void step() {
    skip_space();
    if (at_ == text_.size()) {
      ended_ = true;
      return result_.lose(path_.string() + ": byte " + std::to_string(at_) +
                          ": the file ends before its object does; whatever came after is lost");
    }
    if (text_[at_] == '}') return end();
    note_indentation();
    std::string why;
    if (const auto found = read_entry(at_, why)) return take(*found);
    const std::size_t from = at_;
    resume(from + 1);
    result_.lose(path_, from, at_, why);
  }

  void end() {
    ++at_;
    skip_space();
    ended_ = at_ == text_.size();
    if (ended_) return;
    const std::size_t from = at_;
    resume(from);
    result_.lose(path_, from, at_, "expected nothing after the object's '}'");
  }

  void take(const Found& found) {
    const std::size_t from = at_;
    at_ = found.end;
    if (found.bare)
      Salvage::note(path_.string() + ": byte " + std::to_string(at_) +
                    ": expected ',' or '}' after an entry");
    if (found.key == kvstore::kSchemaVersionKey && result_.table.size() == 0 && !has_version_)
      return take_version(found, from);
    if (found.key == kvstore::kSchemaVersionKey || result_.table.contains(found.key)) {
      return result_.lose(path_, from, at_,
                          "a second entry of key " + shown(found.key) + "; the first is kept");
    }
    result_.table.set(found.key, found.value);
  }

  void take_version(const Found& found, std::size_t from) {
    has_version_ = true;
    try {
      result_.table.version = read_schema_version(found.value);
    } catch (const kvstore::ParseError& error) {
      result_.lose(path_, from, at_, std::string{"the schema version: "} + error.what());
    }
  }

  /// The entry at `at`, if all of it is there; else why not.
  [[nodiscard]] std::optional<Found> read_entry(std::size_t at, std::string& why) const {
    kvstore::JsonReader in{text_.substr(at)};
    try {
      Found found;
      found.key = in.string();
      in.expect(':');
      const std::string_view value = in.skip_value();
      found.value = on_one_line(value);
      found.end = at + in.position();
      if (runs_over_entries(value)) {
        throw kvstore::ParseError{found.end - at, "expected a value that ends before the next entry's line"};
      }
      if (!see_end(found)) throw kvstore::ParseError{found.end - at, "expected ',' or '}' after an entry"};
      check_strictly(value);
      return found;
    } catch (const kvstore::ParseError& error) {
      why = error.what();
      return std::nullopt;
    }
  }

  [[nodiscard]] static bool is_sound(std::string_view text) {
    try {
      static_cast<void>(ObjectReader{text}.read());
      return true;
    } catch (const kvstore::ParseError&) { return false; }
  }

  /// A value that has lost its closing bracket takes the entries behind it for its members.
  [[nodiscard]] bool runs_over_entries(std::string_view value) const {
    return damaged_ && one_a_line_ &&
           value.find('\n' + std::string{indentation_} + '"') != std::string_view::npos;
  }

  /// Whether the value is known to end where it seems to. A number may have lost digits, where nothing
  /// follows.
  [[nodiscard]] bool see_end(Found& found) const {
    std::size_t next = found.end;
    bool line_ends = false;
    for (; next < text_.size() && is_space(text_[next]); ++next) line_ends = line_ends || text_[next] == '\n';
    const char byte = next < text_.size() ? text_[next] : '\0';
    if (byte == ',' || byte == '}') {
      found.end = byte == ',' ? next + 1 : next;
      return true;
    }
    found.bare = true;
    const bool closes_itself = std::string_view{"\"]}el"}.find(found.value.back()) != std::string_view::npos;
    return closes_itself && (line_ends || next == text_.size());
  }

  /// Goes on at the first entry that starts a line behind `from`.
  void resume(std::size_t from) {
    std::string why;
    for (std::size_t feed = text_.find('\n', from); feed != std::string_view::npos;
         feed = text_.find('\n', feed + 1)) {
      const std::size_t start = feed + 1 + indentation_.size();
      const bool may_be_entry =
          text_.substr(feed + 1).starts_with(indentation_) && text_.substr(start).starts_with('"');
      if (is_last_line(feed + 1))
        at_ = feed + 1;
      else if (may_be_entry && read_entry(start, why))
        at_ = start;
      else
        continue;
      return;
    }
    at_ = text_.size();
    ended_ = true;
  }

  [[nodiscard]] bool is_last_line(std::size_t start) const {
    return text_.substr(start).starts_with('}') &&
           text_.find_first_not_of(" \t\r\n", start + 1) == std::string_view::npos;
  }

  /// Of an entry that starts its line.
  void note_indentation() {
    std::size_t start = at_;
    while (start > 0 && (text_[start - 1] == ' ' || text_[start - 1] == '\t')) --start;
    if (start == 0 || text_[start - 1] != '\n') return;
    indentation_ = text_.substr(start, at_ - start);
    one_a_line_ = true;
  }

  [[nodiscard]] static bool is_space(char byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
  }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  std::string_view text_;
  const fs::path& path_;
  Salvage& result_;
  bool damaged_;
  std::size_t at_ = 0;
  std::string_view indentation_;
  bool one_a_line_ = false;  // some entry starts its line
  bool has_version_ = false;
  bool ended_ = false;
};

}  // namespace kvctl
