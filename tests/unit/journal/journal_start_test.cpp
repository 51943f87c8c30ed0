// SPDX-License-Identifier: MIT

// Opening finds files of other programs under the names of the store. It reports them by name and leaves them
// unchanged, byte for byte. It tells them from the remains of a crash.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/stride.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace journal_start_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::CorruptionError;
using kvstore::JsonFile;
using kvstore::JsonJournal;
using kvstore::LoadPurpose;
using support::read_file;
using support::TempFolder;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using Contents = std::map<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};
constexpr LoadPurpose kPurposes[] = {LoadPurpose::exclusive, LoadPurpose::read_only, LoadPurpose::copy};
constexpr const char* kJournals[] = {"data.json.journal", "data.json.journal.next", "data.json.journal.new"};

std::string line(std::string_view body, std::string_view separator = " ") {
  const std::string rest = std::string{separator}.append(body);
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()}.append(rest).append("\n");
}

const std::string kHeader = line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":null})");

std::string two_bytes_each(std::string_view text, bool little) {
  std::string wide;
  for (const char c : text) wide.append(little ? std::string{c, '\0'} : std::string{'\0', c});
  return wide;
}

std::string crlf(std::string text) {
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 2))
    text.insert(at, 1, '\r');
  return text;
}

struct Foreign {
  const char* what;
  std::string bytes;
};

std::vector<Foreign> foreign_journals() {
  const std::string journal = kHeader + line(R"(["k",1])", "|71 ");
  std::string flipped = kHeader;
  flipped[30] = static_cast<char>(flipped[30] ^ 4);
  std::string zeroed = kHeader;
  zeroed[8] = '\0';
  return {{"line feeds became CR LF", crlf(journal)},
          {"UTF-16, little-endian", two_bytes_each(journal, true)},
          {"UTF-16, big-endian", two_bytes_each(journal, false)},
          {"UTF-16 with a mark", "\xff\xfe" + two_bytes_each(journal, true)},
          {"UTF-8 with a mark", "\xef\xbb\xbf" + journal},
          {"gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"s + journal},
          {"text", "my notes about data.json\n"},
          {"text without an end", "my notes"},
          {"JSON", R"({"a": 1})"},
          {"a header with one bit flipped", flipped},
          {"a header with a byte of zeros", zeroed},
          {"a header of a newer version, cut", R"(0000aaaa {"kvstore_journal":3,"id":")"},
          {"a line that is no header, cut", R"(0000aaaa ["k",1)"}};
}

/// Requires that loading ends with an error that names `name`, and leaves everything unchanged.
void check_refused(const TempFolder& folder, const char* name, LoadPurpose purpose) {
  std::map<std::string, std::string> before;
  for (const std::string& file : folder.names()) before[file] = read_file(folder / file);
  {
    JsonJournal storage{folder / "data.json"};
    support::CollectingSink sink;
    CHECK_THROWS_WITH(storage.load({.purpose = purpose}, sink), ContainsSubstring((folder / name).string()));
  }
  std::map<std::string, std::string> after;
  for (const std::string& file : folder.names()) after[file] = read_file(folder / file);
  CHECK(after == before);
}

Contents reopened(const TempFolder& folder) {
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  Contents result;
  store.for_each([&](const std::string& key, int value) { result[key] = value; });
  return result;
}

}  // namespace

TEST_CASE("Journal start: whichever header opens, compacting knows it for a journal's") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  const std::string header =
      GENERATE(R"({"kvstore_journal":1,"id":"of another length","snapshot":null})",
               R"({"kvstore_journal":1,"later":true,"id":"00000000000000aa","snapshot":null})");
  write_file(path.string() + ".journal", line(header) + line(R"(["a",1])"));
  Store store{std::make_unique<JsonJournal>(path), kManual};
  CHECK(store.read("a") == 1);
  CHECK_NOTHROW(store.compact());
  store.close();
  CHECK(read_file(path) == "{\n\"a\": 1\n}\n");
}

TEST_CASE("Journal start: what another program made of a journal is reported by name, and stays") {
  for (const Foreign& foreign : foreign_journals()) {
    for (const char* name : kJournals) {
      CAPTURE(foreign.what, name);
      const TempFolder folder;
      write_file(folder / "data.json", R"({"a": 1})");
      write_file(folder / name, foreign.bytes);
      check_refused(folder, name, LoadPurpose::exclusive);
      fs::remove(folder / "data.json");
      check_refused(folder, name, LoadPurpose::exclusive);
    }
  }
}

TEST_CASE("Journal start: what another program made of a journal is reported to readers too") {
  const auto all = foreign_journals();
  for (const char* name : kJournals) {
    for (const LoadPurpose purpose : {LoadPurpose::read_only, LoadPurpose::copy}) {
      const TempFolder folder;
      write_file(folder / "data.json", R"({"a": 1})");
      write_file(folder / name, all.front().bytes);
      check_refused(folder, name, purpose);  // reported only after retries: a writer could be at work
    }
  }
}

TEST_CASE(
    "Journal start: one that power loss has torn at any byte counts for nothing, whatever follows zeros") {
  const std::string headers[] = {
      kHeader,
      line(R"({"kvstore_journal":1,"id":"00000000000000aa"})"),
      line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":{"size":8,"crc32c":"0123abcd"}})"),
      line(R"({"kvstore_journal":1,"id":"00000000000000aa","follows":"00000000000000ab","bytes":71})"),
      line(R"({"kvstore_journal":2,"id":"00000000000000aa","revision":0,"snapshot":null})"),
      line(R"({"kvstore_journal":2,"id":"00000000000000aa","revision":170})"),
      line(
          R"({"kvstore_journal":2,"id":"00000000000000aa","revision":17,"follows":"00000000000000ab","bytes":7})")};
  for (const std::string& header : headers) {
    for (std::size_t length = 0; length < header.size(); length += support::kRunStride) {
      std::vector<std::string> torn{header.substr(0, length),
                                    header.substr(0, length) + std::string(5000, '\0')};
      if (length % 16 == 0)
        torn.push_back(header.substr(0, length) + std::string(16, '\0') + "what came through" +
                       line(R"(["k",1])"));
      for (const std::string& bytes : torn) {
        CAPTURE(bytes);
        const TempFolder folder;
        write_file(folder / "data.json", R"({"a": 1})");
        write_file(folder / "data.json.journal", bytes);
        REQUIRE(reopened(folder) == Contents{{"a", 1}});
        const bool is_zeros = bytes.find_first_not_of('\0') == std::string::npos;
        REQUIRE(fs::exists(folder / "data.json.journal.torn") != is_zeros);
      }
    }
  }
}

TEST_CASE(
    "Journal start: a .next that follows another journal than the one beside it is reported, and stays") {
  const auto next =
      line(R"({"kvstore_journal":1,"id":"00000000000000cc","follows":"00000000000000bb","bytes":71})");
  for (const LoadPurpose purpose : kPurposes) {
    const TempFolder folder;
    write_file(folder / "data.json.journal", kHeader + line(R"(["a",1])", "|71 "));
    write_file(folder / "data.json.journal.next", next + line(R"(["b",2])"));
    check_refused(folder, "data.json.journal.next", purpose);
  }
}

TEST_CASE("Journal start: a journal that a compaction has not made is no reason to drop the one beside it") {
  const std::string snapshot = "{\n\"a\": 1\n}\n";
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(snapshot));
  const std::string identity = R"({"size":)" + std::to_string(snapshot.size()) + R"(,"crc32c":")" +
                               std::string{digits.data(), digits.size()} + "\"}";
  const auto next =
      line(R"({"kvstore_journal":1,"id":"00000000000000cc","follows":"00000000000000bb","bytes":71})") +
      line(R"({"snapshot":)" + identity + "}");
  for (const LoadPurpose purpose : kPurposes) {
    const TempFolder folder;
    write_file(folder / "data.json", snapshot);
    write_file(folder / "data.json.journal", kHeader + line(R"(["k",1])", "|71 "));
    write_file(folder / "data.json.journal.next", next);
    check_refused(folder, "data.json.journal", purpose);
  }
}

TEST_CASE("Journal start: where a journal continues a snapshot that is missing, no store begins empty") {
  for (const LoadPurpose purpose : kPurposes) {
    const TempFolder folder;
    write_file(
        folder / "data.json.journal",
        line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":{"size":8,"crc32c":"0123abcd"}})"));
    check_refused(folder, "data.json.journal", purpose);
  }
}

TEST_CASE("Leftover: a file that is no leftover of a save is not removed, and refused by name") {
  const Foreign others[] = {{"text", "my notes\n"},
                            {"JSON of another hand", R"({"a": 1})"},
                            {"indented JSON", "{\n  \"a\": 1\n}\n"},
                            {"UTF-16", two_bytes_each("{\n\"a\": 1\n}\n", true)},
                            {"a list", "[1]"},
                            {"JSON with something behind it", "{}\n[]"},
                            {"a line", "{\n"s.append(1, 'x')}};
  for (const Foreign& other : others) {
    CAPTURE(other.what);
    const TempFolder folder;
    write_file(folder / "data.json", R"({"a": 1})");
    write_file(folder / "data.json.tmp", other.bytes);
    const auto refused = ContainsSubstring((folder / "data.json.tmp").string() + ": ");
    CHECK_THROWS_WITH((Store{folder / "data.json", kManual}), refused);
    CHECK_THROWS_WITH(reopened(folder), refused);
    CHECK(read_file(folder / "data.json.tmp") == other.bytes);
    CHECK(folder.names() == std::set<std::string>{"data.json", "data.json.tmp"});
  }
}

TEST_CASE("Lock: a file that is no lock file is neither emptied nor removed, and refused by name") {
  for (const std::string& other : {"my notes"s, "12 monkeys\n"s, std::string(100, '1'), R"({"a": 1})"s}) {
    const TempFolder folder;
    write_file(folder / "data.json.lock", other);
    CHECK_THROWS_WITH((Store{folder / "data.json", kManual}),
                      ContainsSubstring((folder / "data.json.lock").string()));
    CHECK(read_file(folder / "data.json.lock") == other);
  }
  for (const std::string& ours : {""s, "1234\n"s, "\0\0\0\0\0"s, "12\0\0\n"s}) {
    const TempFolder folder;
    write_file(folder / "data.json.lock", ours);
    Store{folder / "data.json", kManual}.close();
    CHECK(folder.names().empty());
  }
}

TEST_CASE("Leftover: a link or a folder where a save is written is not removed, and refused by name") {
  const TempFolder folder;
  write_file(folder / "data.json", R"({"a": 1})");
  const auto refused = ContainsSubstring((folder / "data.json.tmp").string() + ": ");
  fs::create_directory(folder / "data.json.tmp");
  CHECK_THROWS_WITH((Store{folder / "data.json", kManual}), refused);
  fs::remove(folder / "data.json.tmp");
#ifndef _WIN32
  write_file(folder / "mine", "{\n\"a\": 1\n}\n");
  fs::create_symlink("mine", folder / "data.json.tmp");
  CHECK_THROWS_WITH((Store{folder / "data.json", kManual}), refused);
  CHECK(fs::is_symlink(folder / "data.json.tmp"));
#endif
}

/// Another program puts something under the name that an open store uses for its saves.
template <class Put, class IsThere>
void check_kept(const Put& put, const IsThere& is_there) {
  const bool journal = GENERATE(false, true);
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  std::unique_ptr<kvstore::Storage> storage = std::make_unique<JsonFile>(path);
  if (journal) storage = std::make_unique<JsonJournal>(path);
  Store store{std::move(storage), kManual};
  store.create("a", 1);
  const fs::path name = folder / "data.json.tmp";
  put(name);
  CHECK_THROWS_WITH(store.compact(), ContainsSubstring(name.string() + ": "));
  CHECK(is_there(name));
  fs::remove(name);
  store.compact();
  store.close();
#ifndef _WIN32  // on Windows an empty journal may stay, if it was renamed while it was open
  CHECK(folder.names() == std::set<std::string>{"data.json"});
#endif
}

TEST_CASE("Leftover: another program's file that appears where an open store saves stays, and is named") {
  check_kept([](const fs::path& name) { write_file(name, "my notes\n"); },
             [](const fs::path& name) { return read_file(name) == "my notes\n"; });
}

TEST_CASE("Leftover: a folder that appears where an open store saves stays, and is named") {
  check_kept([](const fs::path& name) { fs::create_directory(name); },
             [](const fs::path& name) { return fs::is_directory(name); });
}

TEST_CASE("Leftover: what a crash has left of a save is removed, torn anywhere") {
  const std::string saves[] = {"{\n\"$schema_version\": 2,\n\"a\": 1\n}\n", "{}\n"};
  for (const std::string& save : saves) {
    for (std::size_t length = 0; length <= save.size(); ++length) {
      for (const std::string& bytes :
           {save.substr(0, length), save.substr(0, length) + std::string(100, '\0'),
            std::string(16, '\0') + save}) {
        CAPTURE(bytes);
        const TempFolder folder;
        write_file(folder / "data.json", R"({"a": 1})");
        write_file(folder / "data.json.tmp", bytes);
        const Store store{folder / "data.json", kManual};
        CHECK_FALSE(fs::exists(folder / "data.json.tmp"));
      }
    }
  }
}

}  // namespace journal_start_test
