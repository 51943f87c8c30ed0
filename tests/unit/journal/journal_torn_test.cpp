// SPDX-License-Identifier: MIT

// The end of a journal that opening drops as torn. Opening tells it from damage, since later lines vouch for
// a damaged place. It keeps the end beside the journal before dropping it, and finds it in linear time,
// whatever the values are.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"

namespace journal_torn_test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::CorruptionError;
using kvstore::JsonJournal;
using support::Call;
using support::FaultFileSystem;
using support::read_file;
using support::TempFolder;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;
using Contents = std::map<std::string, std::string>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

std::string crc_of(std::string_view text) {
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(text));
  return {digits.data(), digits.size()};
}

std::string line(std::string_view body, std::string_view separator = " ") {
  const std::string rest = std::string{separator}.append(body);
  return crc_of(rest) + rest + "\n";
}

const std::string kHeader = line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":null})");
const std::string kFirst = line(R"(["a","1"])", "|71 ");

Contents reopened(const TempFolder& folder, kvstore::Options options = kManual) {
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), std::move(options)};
  Contents result;
  store.for_each([&](const std::string& key, const std::string& value) { result[key] = value; });
  return result;
}

/// Copies the files that the next process would find if the store were killed now.
void copy_files(const TempFolder& from, const TempFolder& to) {
  for (const std::string& name : from.names()) {
    if (!name.ends_with(".lock")) fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing);
  }
}

std::string title(std::size_t bytes, std::size_t from) {
  return "# " + std::to_string(bytes) + " bytes from byte " + std::to_string(from) +
         " of data.json.journal on, which were dropped as torn\n";
}

}  // namespace

TEST_CASE("Torn end: damage to what a killed store had synced last is found beside the journal, and told") {
  const TempFolder folder;
  Store store{std::make_unique<JsonJournal>(folder / "data.json"),
              {.batch_size = 1, .auto_save_interval = 0s}};
  store.create("a", "1");
  store.create("b", "the value");
  const TempFolder copy;
  copy_files(folder, copy);
  std::string text = read_file(copy / "data.json.journal");
  const std::size_t place = text.find("the value");
  text[place] = 'T';
  write_file(copy / "data.json.journal", text);

  std::vector<std::string> told;
  kvstore::Options options = kManual;
  options.logger = [&](const kvstore::LogEvent& event) { told.push_back(to_string(event)); };
  CHECK(reopened(copy, options) == Contents{{"a", "1"}});
  const std::size_t from = text.rfind('\n', place) + 1;
  const std::size_t end = text.find('\n', place) + 1;
  CHECK(read_file(copy / "data.json.journal.torn") ==
        title(end - from, from) + text.substr(from, end - from) + "\n");
  REQUIRE(!told.empty());
  CHECK_THAT(told.front(),
             ContainsSubstring("dropped torn tail") &&
                 ContainsSubstring("file=\"" + (copy / "data.json.journal").string() + '"') &&
                 ContainsSubstring("kept=\"" + (copy / "data.json.journal.torn").string() + '"'));
}

TEST_CASE("Torn end: what was kept before stays, and nothing is kept twice") {
  const TempFolder folder;
  const std::string torn = kHeader + kFirst + "cut he";
  std::string expected = title(6, torn.size() - 6) + "cut he\n";
  for (int round = 0; round < 2; ++round) {
    write_file(folder / "data.json.journal", torn);
    CHECK(reopened(folder) == Contents{{"a", "1"}});
    CHECK(read_file(folder / "data.json.journal.torn") == expected);
  }
  write_file(folder / "data.json.journal", kHeader + kFirst + "and here");
  reopened(folder);
  expected += title(8, torn.size() - 6) + "and here\n";
  CHECK(read_file(folder / "data.json.journal.torn") == expected);
}

TEST_CASE("Torn end: what was only half kept when a crash came is kept again") {
  const TempFolder folder;
  const std::string torn = kHeader + kFirst + "cut he";
  write_file(folder / "data.json.journal", torn);
  const std::string half = title(6, torn.size() - 6) + "cut";
  write_file(folder / "data.json.journal.torn", half);
  reopened(folder);
  CHECK(read_file(folder / "data.json.journal.torn") == half + title(6, torn.size() - 6) + "cut he\n");
}

TEST_CASE("Torn end: zeros are not kept, nor those between what is") {
  const TempFolder folder;
  write_file(folder / "data.json.journal", kHeader + kFirst + std::string(1 << 20, '\0'));
  reopened(folder);
  CHECK_FALSE(fs::exists(folder / "data.json.journal.torn"));
  const std::string good = kHeader + kFirst;
  write_file(folder / "data.json.journal",
             good + "one" + std::string((1 << 20) - 3, '\0') + "two" + std::string(5000, '\0'));
  reopened(folder);
  CHECK(read_file(folder / "data.json.journal.torn") ==
        title(3, good.size()) + "one\n" + title(3, good.size() + (1 << 20)) + "two\n");
}

TEST_CASE("Torn end: it is safe beside the journal before the journal is cut") {
  const TempFolder folder;
  write_file(folder / "data.json.journal", kHeader + kFirst + "cut he");
  FaultFileSystem files;
  std::string calls;
  files.before_each([&](Call call, const fs::path& path) {
    const bool kept = path.extension() == ".torn";
    if (call == Call::write && kept) calls += 'w';
    if (call == Call::sync && kept) calls += 's';
    if (call == Call::sync_folder) calls += 'f';
    if (call == Call::truncate && path.extension() == ".journal") calls += 't';
  });
  const Store store{std::make_unique<JsonJournal>(folder / "data.json", files), kManual};
  const std::size_t cut = calls.find('t');
  REQUIRE(cut != std::string::npos);
  CHECK_THAT(calls.substr(0, cut), Catch::Matchers::EndsWith("wwwsf"));
}

TEST_CASE("Torn end: where it cannot be kept, the store does not open, and the journal stays") {
  const std::string journal = kHeader + kFirst + "cut he";
  for (const Call call : {Call::write, Call::sync}) {
    const TempFolder folder;
    write_file(folder / "data.json.journal", journal);
    FaultFileSystem files;
    bool failing = false;
    files.before_each([&](Call made, const fs::path& path) {
      if (made != call || path.extension() != ".torn" || failing) return;
      failing = true;
      files.inject({.error = std::make_error_code(std::errc::no_space_on_device), .call = call});
    });
    CHECK_THROWS_WITH((Store{std::make_unique<JsonJournal>(folder / "data.json", files), kManual}),
                      ContainsSubstring((folder / "data.json.journal.torn").string()) &&
                          ContainsSubstring("the journal was not changed"));
    CHECK(read_file(folder / "data.json.journal") == journal);
    CHECK(reopened(folder) == Contents{{"a", "1"}});
  }
}

#ifndef _WIN32
TEST_CASE("Torn end: it is as private as the journal") {
  for (const unsigned mode : {0600U, 0640U, 0666U}) {
    const TempFolder folder;
    write_file(folder / "data.json.journal", kHeader + kFirst + "cut he");
    fs::permissions(folder / "data.json.journal", static_cast<fs::perms>(mode));
    reopened(folder);
    CHECK(static_cast<unsigned>(fs::status(folder / "data.json.journal.torn").permissions()) == mode);
  }
}
#endif

TEST_CASE("Torn end: a .next that is dropped with the end of its journal is kept") {
  const TempFolder folder;
  const std::string next =
      line(R"({"kvstore_journal":1,"id":"00000000000000bb","follows":"00000000000000aa","bytes":5000})") +
      line(R"(["b","2"])");
  write_file(folder / "data.json.journal", kHeader + kFirst);
  write_file(folder / "data.json.journal.next", next);
  CHECK(reopened(folder) == Contents{{"a", "1"}});
  CHECK_THAT(read_file(folder / "data.json.journal.torn"), ContainsSubstring(next));
}

TEST_CASE("Torn end: what was kept outlives compactions, since nobody may have looked at it yet") {
  const TempFolder folder;
  write_file(folder / "data.json.journal", kHeader + kFirst + "cut he");
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  const std::string kept = read_file(folder / "data.json.journal.torn");
  store.compact();
  CHECK(read_file(folder / "data.json.journal.torn") == kept);
  store.close();
  CHECK(folder.names() == std::set<std::string>{"data.json", "data.json.journal.torn"});
}

TEST_CASE("Torn end: a file of torn ends that is full keeps the oldest, and the log is told") {
  const TempFolder folder;
  const std::string full(std::size_t{16} << 20, 'o');
  write_file(folder / "data.json.journal", kHeader + kFirst + "cut he");
  write_file(folder / "data.json.journal.torn", full);
  std::vector<std::string> told;
  kvstore::Options options = kManual;
  options.logger = [&](const kvstore::LogEvent& event) { told.push_back(to_string(event)); };
  CHECK(reopened(folder, options) == Contents{{"a", "1"}});
  CHECK(read_file(folder / "data.json.journal.torn") == full);
  REQUIRE(!told.empty());
  CHECK_THAT(told.front(), ContainsSubstring("torn tail not kept") && ContainsSubstring("bytes=6"));
}

// Vouching ----------------------------------------------------------------------------------------

TEST_CASE("Vouching: lines behind damaged line feeds say that a place was synced") {
  const std::string second = line(R"(["b","2"])");
  std::string start = kHeader + kFirst;
  const std::size_t damaged = start.size();
  std::string broken = second;
  broken[12] = '?';
  start += broken;
  const std::string vouching = line(R"(["c","3"])", '|' + std::to_string(start.size()) + ' ');
  const auto met = [&](std::string journal) -> std::uint64_t {
    const TempFolder folder;
    write_file(folder / "data.json.journal", journal);
    try {
      reopened(folder);
    } catch (const CorruptionError& error) {
      CHECK(read_file(folder / "data.json.journal") == journal);
      return error.offset();
    }
    return 0;
  };
  CHECK(met(start + vouching) == damaged);
  for (const char byte : {'\v', '\0', 'x', ' ', '|'}) {
    CAPTURE(static_cast<int>(byte));
    std::string joined = start + second;
    joined.back() = byte;
    CHECK(met(joined + vouching) == damaged);  // a good line, a byte, and the vouching line
    std::string thrice = start + second + second;
    thrice.back() = thrice[thrice.size() - second.size() - 1] = byte;
    CHECK(met(thrice + vouching) == damaged);
  }
  std::string own = kHeader + kFirst;  // the damaged line feed belongs to the last good line itself
  own.back() = 'x';
  CHECK(met(own + line(R"(["c","3"])", '|' + std::to_string(own.size()) + ' ')) == kHeader.size());
}

TEST_CASE("Vouching: a value that looks like a line that vouches does not keep a torn journal from opening") {
  // The inner checksum fits the rest of the line, which the writer of the value can foresee.
  const std::string tail = "|9999999 x";
  const std::string value = std::string(4000, 'v') + crc_of(tail + "\"]") + tail;
  std::string journal = kHeader + kFirst + line(R"(["evil",")" + value + "\"]");
  journal.replace(512, 512, 512, '\0');  // the second sector did not arrive
  const TempFolder folder;
  write_file(folder / "data.json.journal", journal);
  CHECK(reopened(folder) == Contents{{"a", "1"}});
}

TEST_CASE("Vouching: a line that tells of what was synced behind itself is not believed") {
  const TempFolder folder;
  write_file(folder / "data.json.journal", kHeader + kFirst + "torn\n" + line(R"(["c","3"])", "|9999999 "));
  CHECK(reopened(folder) == Contents{{"a", "1"}});
}

TEST_CASE("Vouching: a torn value of many megabytes is searched in linear time, whatever it holds") {
  std::string value;
  while (value.size() < (std::size_t{24} << 20)) value += "00000000|";
  std::string journal = kHeader + kFirst + line(R"(["evil",")" + value + "\"]");
  journal[journal.size() / 2] = '1';
  const TempFolder folder;
  write_file(folder / "data.json.journal", journal);
  CHECK(reopened(folder) == Contents{{"a", "1"}});
}

}  // namespace journal_torn_test
