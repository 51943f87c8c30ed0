// SPDX-License-Identifier: MIT
#pragma once

// Saves what a snapshot and its journals still hold. Every line of a journal has a checksum and says what an
// entry *is*, so lines behind damage are as true as those before it; what the damaged ones said is lost, and
// the entries that they were about have the values of before.

#include <cstddef>
#include <cstdint>
#include <kvstore/detail/file/data_path.hpp>
#include <kvstore/detail/journal/survey.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entries.hpp"
#include "places.hpp"
#include "salvage.hpp"
#include "salvage_json.hpp"

namespace kvctl {

/// What one journal says, line by line, as far as it can be read.
struct JournalText {
  fs::path path;
  bool exists = false;
  std::optional<kvstore::detail::JournalHeader> header;
  std::vector<kvstore::detail::BaseId> bases;
  std::vector<std::vector<Entry>> steps;  ///< without an entry: everything is removed
  std::vector<std::string> notes;         ///< what is lost is told only if the journal counts
  std::vector<std::string> losses;
};

/// Takes one line, all of it or nothing.
class LineHandler final : public kvstore::detail::JournalBodyHandler {
 public:
  explicit LineHandler(JournalText& journal) : journal_{journal} {}

  /// @throws kvstore::ParseError
  void take(std::string_view body) {
    step_.clear();
    is_step_ = false;
    kvstore::detail::read_body(body, *this);
    if (is_step_) journal_.steps.push_back(step_);
  }

  void on_header(const kvstore::detail::JournalHeader& header) override { journal_.header = header; }
  void on_base(const kvstore::detail::BaseId& id) override { journal_.bases.push_back(id); }
  void on_clear() override { is_step_ = true; }
  void on_change(const kvstore::Change& change) override {
    is_step_ = true;
    if (change.value) check_strictly(*change.value);
    step_.push_back(
        {std::string{change.key}, change.value ? std::optional{std::string{*change.value}} : std::nullopt});
  }

 private:
  JournalText& journal_;
  std::vector<Entry> step_;
  bool is_step_ = false;
};

class JournalSalvage {
 public:
  JournalSalvage(const fs::path& path, bool until_damage, Salvage& result)
      : path_{path}, until_damage_{until_damage}, result_{result} {}

  void run() {
    read_snapshot();
    JournalText main = read_journal("");
    JournalText next = read_journal(".next");
    JournalText fresh = read_journal(".new");
    if (is_folded(fresh)) return carry_out(fresh);
    if (is_folded(next)) return carry_out(next);
    if (main.exists) {
      compare_with_snapshot(main);
      carry_out(main);
    }
    const bool follows = !main.header || !next.header || next.header->follows == main.header->id;
    if (next.exists && follows && !(until_damage_ && !main.losses.empty())) carry_out(next);
  }

 private:
  void read_snapshot() {
    if (!is_there(path_)) return;
    const std::string text = read_file(path_.string());
    snapshot_ = {true, text.size(), kvstore::detail::crc32c(text)};
    JsonSalvage{text, path_, result_}.run();
  }

  [[nodiscard]] JournalText read_journal(const char* suffix) const {
    JournalText journal;
    journal.path = kvstore::detail::JournalSet::name(path_, suffix);
    auto& files = kvstore::detail::system_file_system();
    const auto file = kvstore::detail::open_if_exists(files, journal.path);
    journal.exists = file != nullptr;
    std::optional<std::uint64_t> from = 0;
    while (file && from) from = read_lines(*file, *from, journal);
    return journal;
  }

  /// Reads up to the end, or to damage. @returns where to go on behind damage
  [[nodiscard]] std::optional<std::uint64_t> read_lines(kvstore::detail::File& file, std::uint64_t from,
                                                        JournalText& journal) const {
    kvstore::detail::JournalReader reader{file, journal.path, from};
    LineHandler handler{journal};
    try {
      for (std::string_view body; reader.next(body);) take_line(handler, body, reader.body_offset(), journal);
    } catch (const kvstore::CorruptionError& error) {
      if (until_damage_) {
        journal.losses.push_back(journal.path.string() + ": byte " + std::to_string(error.offset()) + ": " +
                                 error.expected() + "; it and all that follows is left out");
        return std::nullopt;
      }
      const std::uint64_t resume = line_behind(file, error.offset());
      journal.losses.push_back(journal.path.string() + ": bytes " + std::to_string(error.offset()) + " to " +
                               std::to_string(resume) + " are lost: " + error.expected() +
                               "; the entries that this was about have the values of before");
      return resume;
    }
    if (reader.torn_bytes() != 0) {
      journal.notes.push_back(
          journal.path.string() + ": byte " + std::to_string(reader.end()) +
          ": what follows was torn by a crash and never promised to be on disk; it is left out");
    }
    return std::nullopt;
  }

  static void take_line(LineHandler& handler, std::string_view body, std::uint64_t offset,
                        JournalText& journal) {
    try {
      handler.take(body);
    } catch (const kvstore::ParseError& error) {
      journal.losses.push_back(journal.path.string() + ": byte " + std::to_string(offset + error.offset()) +
                               ": " + error.what() + "; this line is left out");
    }
  }

  /// The offset behind the next line feed.
  [[nodiscard]] static std::uint64_t line_behind(kvstore::detail::File& file, std::uint64_t offset) {
    std::string block(std::size_t{64} << 10, '\0');
    while (true) {
      const auto got = kvstore::detail::read_full(file, offset, block);
      const std::size_t feed = std::string_view{block.data(), got.value}.find('\n');
      if (feed != std::string_view::npos) return offset + feed + 1;
      offset += got.value;
      if (got.error || got.value == 0) return offset;
    }
  }

  /// Whether the journal came to continue this snapshot. Its size will do: its checksum may be what is
  /// damaged.
  [[nodiscard]] bool is_folded(const JournalText& journal) const {
    for (const auto& base : journal.bases) {
      if (base.exists == snapshot_.exists && base.size == snapshot_.size) return true;
    }
    return false;
  }

  void compare_with_snapshot(const JournalText& journal) {
    auto known = journal.bases;
    if (journal.header && journal.header->snapshot) known.push_back(*journal.header->snapshot);
    for (const auto& id : known) {
      if (id == snapshot_) return;
    }
    if (known.empty()) return;
    result_.lose(
        path_.string() + ": is not what the journal beside it continues (" +
        (known.back().exists ? std::to_string(known.back().size) + " bytes, and another checksum"
                             : std::string{"no file"}) +
        "), so it is damaged or was replaced: values in it may be wrong; the journal is carried out on top");
  }

  void carry_out(const JournalText& journal) {
    for (const std::string& note : journal.notes) Salvage::note(note);
    for (const std::string& loss : journal.losses) result_.lose(loss);
    if (!journal.header) result_.lose(journal.path.string() + ": byte 0: its header cannot be read");
    for (const auto& step : journal.steps) {
      if (step.empty()) result_.table.clear();
      for (const Entry& entry : step) {
        result_.table.change(
            {entry.key, entry.value ? std::optional<std::string_view>{*entry.value} : std::nullopt});
      }
    }
  }

  const fs::path& path_;
  bool until_damage_;
  Salvage& result_;
  kvstore::detail::BaseId snapshot_;
};

}  // namespace kvctl
