// SPDX-License-Identifier: MIT
#pragma once

// Saves what a snapshot and its journals still hold. Every line of a journal has a checksum and says what an
// entry *is*, so lines behind damage are as true as those before it; what the damaged ones said is lost, and
// the entries that they were about have the values of before.

#include <cstddef>
#include <cstdint>
#include <kvstore/journal_lines.hpp>
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
  std::optional<kvstore::JournalHeader> header;
  std::vector<kvstore::BaseId> bases;
  std::vector<std::vector<Entry>> steps;  ///< without an entry: everything is removed
  std::vector<std::string> notes;         ///< what is lost is told only if the journal counts
  std::vector<std::string> losses;
};

/// Takes one line, all of it or nothing.
class LineHandler final : public kvstore::JournalHandler {
 public:
  explicit LineHandler(JournalText& journal) : journal_{journal} {}

  /// @throws kvstore::ParseError
  void take(kvstore::JournalLines& lines) {
    step_.clear();
    is_step_ = false;
    lines.read(*this);
    if (is_step_) journal_.steps.push_back(step_);
  }

  void on_header(const kvstore::JournalHeader& header) override {
    if (journal_.header)
      throw kvstore::ParseError{0, "expected one header, at the start; two journals were joined to one file"};
    journal_.header = header;
  }
  void on_base(const kvstore::BaseId& id) override { journal_.bases.push_back(id); }
  void on_clear() override { is_step_ = true; }
  void on_change(const kvstore::Change& change) override {
    is_step_ = true;
    if (change.value) {
      check_stored_key(change.key);
      check_strictly(*change.value);
    }
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
    JournalText main = read_journal(".journal");
    JournalText next = read_journal(".journal.next");
    JournalText fresh = read_journal(".journal.new");
    if (is_folded(fresh)) return carry_out(fresh);
    if (is_folded(next)) return carry_out(next);
    if (main.exists) {
      compare_with_snapshot(main);
      carry_out(main);
    }
    if (!main.exists && !next.exists && !fresh.exists && is_there(beside(path_, ".journal.tail"))) {
      result_.lose(
          beside(path_, ".journal.tail").string() +
          ": has the newest changes of a journal that is not here; without that they cannot be read");
    }
    const bool follows = !main.header || !next.header || next.header->follows == main.header->id;
    if (next.exists && follows && !(until_damage_ && !main.losses.empty())) carry_out(next);
  }

 private:
  void read_snapshot() {
    if (!is_there(path_)) return;
    const std::string text = read_store_file(path_);
    snapshot_ = kvstore::BaseId::of(text);
    JsonSalvage{text, path_, result_}.run();
  }

  [[nodiscard]] JournalText read_journal(const char* suffix) const {
    JournalText journal;
    journal.path = beside(path_, suffix);
    kvstore::JournalLines lines{journal.path};
    journal.exists = lines.exists();
    while (read_lines(lines, journal)) continue;
    return journal;
  }

  /// Reads up to the end, or to damage. @returns whether to go on behind damage
  [[nodiscard]] bool read_lines(kvstore::JournalLines& lines, JournalText& journal) const {
    LineHandler handler{journal};
    try {
      while (lines.next()) take_line(handler, lines, journal);
    } catch (const kvstore::CorruptionError& error) {
      if (until_damage_) {
        journal.losses.push_back(journal.path.string() + ": byte " + std::to_string(error.offset()) + ": " +
                                 error.expected() + "; it and all that follows is left out");
        return false;
      }
      const std::uint64_t resume = lines.pass_damage();
      if (resume == error.offset()) {
        journal.losses.push_back(journal.path.string() + ": byte " + std::to_string(resume) + ": " +
                                 error.expected() + "; what is there is carried out as it stands");
        return true;
      }
      journal.losses.push_back(journal.path.string() + ": bytes " + std::to_string(error.offset()) + " to " +
                               std::to_string(resume) + " are lost: " + error.expected() +
                               "; the entries that this was about have the values of before");
      return true;
    }
    const std::string place = journal.path.string() + ": byte " + std::to_string(lines.end());
    if (lines.torn_bytes() != 0) {
      journal.notes.push_back(place + ": what follows was torn by a crash, or was damaged; it is left out");
    }
    if (lines.torn_tail_bytes() != 0) {
      journal.losses.push_back(place +
                               ": the line that follows is missing or damaged in the journal's tail, and " +
                               std::to_string(lines.torn_tail_bytes()) +
                               " bytes from there on are left out; a store that opens keeps them in " +
                               beside(path_, ".journal.torn").string());
    }
    return false;
  }

  static void take_line(LineHandler& handler, kvstore::JournalLines& lines, JournalText& journal) {
    try {
      handler.take(lines);
    } catch (const kvstore::ParseError& error) {
      journal.losses.push_back(journal.path.string() + ": byte " +
                               std::to_string(lines.offset() + error.offset()) + ": " + error.what() +
                               "; this line is left out");
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
    if (journal.header && journal.header->base) known.push_back(*journal.header->base);
    for (const auto& id : known) {
      if (id == snapshot_) return;
    }
    if (known.empty()) return;
    if (!snapshot_.exists) {
      result_.lose(path_.string() + ": is missing: the entries that it had when the journal was begun, " +
                   std::to_string(known.back().size) +
                   " bytes of JSON, are lost where no change is about them");
      return;
    }
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
  kvstore::BaseId snapshot_;
};

}  // namespace kvctl
