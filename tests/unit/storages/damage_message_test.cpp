// SPDX-License-Identifier: MIT

// An error about stored data says in which line and column and at which entry, and where the data are sound
// and the types of the store do not fit them.

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#endif

namespace damage_message_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::CorruptionError;
using kvstore::JsonJournal;
using support::TempFolder;
using support::write_file;
template <class Key, class Value>
using Store = kvstore::BatchPersistentKeyValueStore<Key, Value>;

namespace {

struct Listed {
  int x = 0;
};
constexpr auto kvstore_fields(const Listed*) { return kvstore::fields("x", &Listed::x); }

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};
constexpr const char* kTypes = "perhaps from a store of other types";
constexpr const char* kKeyType = "perhaps a store of another key type wrote it";

template <class Key, class Value>
CorruptionError damage_of(std::unique_ptr<kvstore::Storage> storage) {
  try {
    const Store<Key, Value> store{std::move(storage), kManual};
  } catch (const CorruptionError& error) { return error; }
  FAIL("opened");
  return {"", 0, ""};
}

/// The error of a store on a JSON file of that text.
template <class Key, class Value>
CorruptionError damage_of(const std::string& text) {
  const TempFolder folder;
  write_file(folder / "data.json", text);
  return damage_of<Key, Value>(std::make_unique<kvstore::JsonFile>(folder / "data.json"));
}

std::string line(std::string_view body) {
  const std::string rest = std::string{" "}.append(body);
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()}.append(rest).append("\n");
}

/// The error of a store on a journal with that step.
template <class Key, class Value>
CorruptionError damage_of_step(const std::string& step) {
  const TempFolder folder;
  write_file(folder / "data.json.journal",
             line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":null})") + line(step));
  return damage_of<Key, Value>(std::make_unique<JsonJournal>(folder / "data.json"));
}

}  // namespace

TEST_CASE("Damage: the message names byte, line, column and entry, and the hint is for sound values only") {
  const auto damaged =
      damage_of<std::string, std::string>("{\n\"\u00e4\": \"x\",\n\"b\u00e4\": \"\\q\"\n}\n");
  CHECK(damaged.line() == 3);
  CHECK(damaged.column() == 9);
  CHECK(damaged.key() == "\"b\u00e4\"");
  CHECK_THAT(damaged.what(), ContainsSubstring(" (line 3, column 9), entry \"b\u00e4\": "));
  CHECK_THAT(damaged.what(), !ContainsSubstring(kTypes));
  const auto structure = damage_of<std::string, int>("{\n\"a\": 1\n\"b\": 2\n}\n");
  CHECK(structure.line() == 3);
  CHECK(structure.column() == 1);
  CHECK(structure.key().empty());
}

TEST_CASE("Damage: where a value is valid JSON, the message says that the types may differ") {
  const auto value = damage_of<std::string, std::string>("{\n\"a\": 1\n}\n");
  CHECK_THAT(
      value.what(),
      ContainsSubstring("byte 7 (line 2, column 6), entry \"a\": expected a string; the value is valid "
                        "JSON") &&
          ContainsSubstring(kTypes));
  const auto key = damage_of<int, int>("{\n\"1\": 1,\n\"b\": 2\n}\n");
  CHECK_THAT(key.what(), ContainsSubstring("(line 3, column 1), entry \"b\": in the key: ") &&
                             ContainsSubstring(kKeyType));
  const auto twice = damage_of<std::string, int>("{\n\"a\": 1,\n\"a\": 2\n}\n");
  CHECK_THAT(twice.what(), ContainsSubstring("(line 3, column 1), entry \"a\": expected each key once"));
}

TEST_CASE("Damage: in a large file, which threads read, the line is the same") {
  std::string text = "{\n";
  constexpr int kLines = 200'000;
  for (int i = 0; i < kLines; ++i) text += "\"key " + std::to_string(i) + "\": \"the value of that key\",\n";
  const auto error = damage_of<std::string, std::string>(text + "\"last\": 7\n}\n");
  CHECK(error.line() == kLines + 2);
  CHECK(error.column() == 9);
  CHECK(error.key() == "\"last\"");
}

TEST_CASE("Damage: in a journal, the place is that of the key or value in its line") {
  const auto value = damage_of_step<std::string, std::string>(R"([["a","x"],["b", 2]])");
  CHECK(value.line() == 2);
  CHECK(value.column() == 9 + 18);
  CHECK(value.key() == "\"b\"");
  CHECK_THAT(value.what(), ContainsSubstring(kTypes));
  const auto key = damage_of_step<int, int>(R"([["1",1],["b",2]])");
  CHECK(key.line() == 2);
  CHECK(key.column() == 9 + 11);
  CHECK_THAT(key.what(), ContainsSubstring("entry \"b\": in the key: ") && ContainsSubstring(kKeyType));
  CHECK_THAT((damage_of_step<int, int>(R"(["b"])").what()), ContainsSubstring(kKeyType));
}

#if __has_include(<sqlite3.h>)
TEST_CASE("Damage: in a database, the message names the entry, and the key where that is at fault") {
  const TempFolder folder;
  Store<std::string, std::string>{std::make_unique<kvstore::SqliteFile>(folder / "data.db"), kManual}.upsert(
      "a", "x");
  const auto open = [&] { return std::make_unique<kvstore::SqliteFile>(folder / "data.db"); };
  CHECK_THAT((damage_of<std::string, int>(open()).what()),
             ContainsSubstring("entry \"a\": ") && ContainsSubstring(kTypes));
  CHECK_THAT((damage_of<int, std::string>(open()).what()),
             ContainsSubstring("entry \"a\": in the key: ") && ContainsSubstring(kKeyType));
}
#endif

TEST_CASE("Damage: no byte of a hostile file reaches a terminal or a log through a message") {
  const auto harmless = [](const std::string& words) {
    CAPTURE(words);
    for (const char byte : words) CHECK(static_cast<unsigned char>(byte) >= 0x20);
    CHECK_THAT(words, ContainsSubstring("\\x0a") && ContainsSubstring("\\x1b"));
  };
  const std::string bad = R"(a\nFAKE \u001b[31m)";
  harmless(damage_of<std::string, int>("{\"" + bad + "\": 1, \"" + bad + "\": 2}").what());
  harmless(damage_of<std::string, int>("{\"" + bad + "\": \"x\"}").what());
  harmless(damage_of<std::string, Listed>("{\"k\": {\"" + bad + "\": 1}}").what());
  harmless(kvstore::CorruptionError{"a", "entry a\nb\x1b", "c"}.what());
  harmless(kvstore::ServerError{"localhost: ERR \n\x1b"}.what());
  harmless(kvstore::StorageError{"a\nb\x1b", {}, "gone"}.what());
  CHECK(std::string{kvstore::Error{"caf\u00e9 \xff"}.what()} == "caf\u00e9 \\xff");
}

TEST_CASE("Lock: the error tells a store of this process from one of another") {
  const TempFolder folder;
  const Store<std::string, int> first{folder / "data.json", kManual};
  try {
    const Store<std::string, int> second{folder / "data.json", kManual};
    FAIL("opened twice");
  } catch (const kvstore::LockedError& error) {
    CHECK_THAT(error.what(), ContainsSubstring("already open for writing by this process itself (process " +
                                               std::to_string(error.holder()) + ")"));
  }
  std::string mark = support::read_file(folder / "data.json.lock");
  mark[mark.size() - 2] = mark[mark.size() - 2] == '1' ? '2' : '1';
  write_file(folder / "data.json.lock", mark);  // as of the process with the same id in another container
  CHECK_THROWS_WITH((Store<std::string, int>{folder / "data.json", kManual}),
                    !ContainsSubstring("by this process"));
}

}  // namespace damage_message_test
