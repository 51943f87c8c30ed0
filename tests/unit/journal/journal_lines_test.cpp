// SPDX-License-Identifier: MIT

// JournalLines, the tools' reader of journals: the meaning of each line, the ends of lines, and the way to
// continue behind damage.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvstore/journal_lines.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace journal_lines_test {

using namespace std::chrono_literals;
using kvstore::JournalLines;
using support::read_file;
using support::TempFolder;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

/// Describes the calls of a reader in words.
class Words final : public kvstore::JournalHandler {
 public:
  void on_header(const kvstore::JournalHeader& header) override {
    said.emplace_back(header.base && header.base->exists ? "continues a file" : "continues nothing");
    base = header.base;
  }
  void on_base(const kvstore::BaseId&) override { said.emplace_back("base"); }
  void on_change(const kvstore::Change& change) override {
    said.push_back(std::string{change.key} + (change.value ? "=" + std::string{*change.value} : " removed"));
  }
  void on_clear() override { said.emplace_back("cleared"); }

  std::vector<std::string> said;
  std::optional<kvstore::BaseId> base;
};

/// Leaves a journal of three steps on `{"kept": 1}`. Nothing is tidied up, as after a killed process.
void make_journal(const TempFolder& folder) {
  write_file(folder / "data.json", "{\n\"kept\": 1\n}\n");
  std::string journal;
  {
    Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"),
                {.batch_size = 1, .auto_save_interval = 0s}};
    store.create("a", 1);
    store.remove("a");
    store.clear();
    journal = read_file(folder / "data.json.journal");
  }
  write_file(folder / "data.json.journal", journal);
}

std::vector<std::string> said_by(JournalLines& lines) {
  Words words;
  while (lines.next()) lines.read(words);
  return words.said;
}

}  // namespace

TEST_CASE("Journal lines: each says what happened, in order") {
  const TempFolder folder;
  make_journal(folder);
  JournalLines lines{folder / "data.json.journal"};
  CHECK(lines.exists());
  CHECK(said_by(lines) == std::vector<std::string>{"continues a file", "a=1", "a removed", "cleared"});
  CHECK(lines.torn_bytes() == 0);
}

TEST_CASE("Journal lines: the header names the file that the journal continues") {
  const TempFolder folder;
  make_journal(folder);
  JournalLines lines{folder / "data.json.journal"};
  Words words;
  REQUIRE(lines.next());
  lines.read(words);
  CHECK(words.base == kvstore::BaseId::of("{\n\"kept\": 1\n}\n"));
  CHECK(words.base != kvstore::BaseId::of("{\n\"kept\": 2\n}\n"));
}

TEST_CASE("Journal lines: a journal that does not exist has none") {
  const TempFolder folder;
  JournalLines lines{folder / "data.json.journal"};
  CHECK_FALSE(lines.exists());
  CHECK_FALSE(lines.next());
  CHECK(lines.end() == 0);
}

TEST_CASE("Journal lines: bytes torn by a crash are counted behind the end") {
  const TempFolder folder;
  make_journal(folder);
  const std::string whole = read_file(folder / "data.json.journal");
  const std::size_t text = whole.find_last_not_of('\0') + 1;
  write_file(folder / "data.json.journal", whole.substr(0, text) + "0123");
  JournalLines lines{folder / "data.json.journal"};
  CHECK(said_by(lines).size() == 4);
  CHECK(lines.end() == text);
  CHECK(lines.torn_bytes() == 4);
}

TEST_CASE("Journal lines: reading goes on behind a damaged line") {
  const TempFolder folder;
  make_journal(folder);
  std::string text = read_file(folder / "data.json.journal");
  const std::size_t change = text.find("[\"a\",1]");
  REQUIRE(change != std::string::npos);
  text[change + 2] = 'b';
  write_file(folder / "data.json.journal", text);
  JournalLines lines{folder / "data.json.journal"};
  Words words;
  REQUIRE(lines.next());
  REQUIRE_THROWS_AS(lines.next(), kvstore::CorruptionError);
  CHECK(lines.pass_damage() == text.find('\n', change) + 1);
  CHECK(said_by(lines) == std::vector<std::string>{"a removed", "cleared"});
}

}  // namespace journal_lines_test
