// SPDX-License-Identifier: MIT

// Journals whose lines are each good and do not belong together: lines removed, doubled or swapped, two
// journals in one file, a journal of another moment. The header and the marks tell, as far as they can.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/journal_lines.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace journal_splice_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::CorruptionError;
using kvstore::JsonJournal;
using support::read_file;
using support::TempFolder;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using Contents = std::map<std::string, int>;
using Lines = std::vector<std::string>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

std::string line(std::string_view body, std::string_view separator = " ") {
  const std::string rest = std::string{separator}.append(body);
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()}.append(rest).append("\n");
}

const std::string kHeader = line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":null})");

Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n') + 1;
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

std::string text_of(const Lines& lines) {
  std::string text;
  for (const std::string& each : lines) text += each;
  return text;
}

/// A closed journal with lines of equal and of different lengths, saved after every `batch` operations.
std::string closed_journal(std::size_t batch) {
  const TempFolder folder;
  {
    Store store{std::make_unique<JsonJournal>(folder / "data.json"),
                {.batch_size = batch, .auto_save_interval = 0s}};
    for (const auto& [key, value] : {std::pair{"a", 1}, {"b", 2}, {"c", 333}, {"a", 4}, {"d", 5}, {"b", 66}})
      store.upsert(key, value);
    store.remove("a");
    store.upsert("e", 7);
    store.save();
  }
  return read_file(folder / "data.json.journal");
}

/// The contents that these files stand for; none if they are refused. A refusal must change no file.
std::optional<Contents> opened(const std::string& journal, const std::string& next = {}) {
  const TempFolder folder;
  write_file(folder / "data.json.journal", journal);
  if (!next.empty()) write_file(folder / "data.json.journal.next", next);
  try {
    const Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
    Contents result;
    store.for_each([&](const std::string& key, int value) { result[key] = value; });
    return result;
  } catch (const kvstore::Error&) {
    CHECK(read_file(folder / "data.json.journal") == journal);
    CHECK((next.empty() || read_file(folder / "data.json.journal.next") == next));
    return std::nullopt;
  }
}

std::string refusal_of(const std::string& journal, const std::string& next = {}) {
  const TempFolder folder;
  write_file(folder / "data.json.journal", journal);
  if (!next.empty()) write_file(folder / "data.json.journal.next", next);
  try {
    const Store store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
    return "opens";
  } catch (const CorruptionError& error) { return error.what(); }
}

/// The contents after each number of lines: the states that a torn journal may open to.
std::set<Contents> states_of(const Lines& lines) {
  std::set<Contents> states;
  for (std::size_t count = 1; count <= lines.size(); ++count) {
    const auto state =
        opened(text_of(Lines(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count))));
    REQUIRE(state);
    states.insert(*state);
  }
  return states;
}

}  // namespace

TEST_CASE("Journal splice: a line removed, doubled or swapped is refused where every line has a mark") {
  const Lines lines = lines_of(closed_journal(1));
  REQUIRE(lines.size() == 10);  // a header, eight steps, a mark
  const auto last = opened(text_of(lines));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CAPTURE(i, lines[i]);
    Lines removed = lines;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(i));
    const auto found = opened(text_of(removed));
    CHECK((i + 1 == lines.size() ? found == last : !found));  // the last one may be torn
    Lines doubled = lines;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), lines[i]);
    CHECK_FALSE(opened(text_of(doubled)));
    for (std::size_t j = 0; j < i; ++j) {
      Lines swapped = lines;
      std::swap(swapped[i], swapped[j]);
      CHECK_FALSE(opened(text_of(swapped)));
    }
  }
}

TEST_CASE("Journal splice: with fewer marks, a change of lines is refused or could have been written so") {
  const Lines lines = lines_of(closed_journal(3));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t j = 0; j < lines.size(); ++j) {
      CAPTURE(i, j);
      Lines changed = lines;
      if (i == j)
        changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
      else if (i < j)
        std::swap(changed[i], changed[j]);
      else
        changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(j), lines[i]);
      std::set<std::uint64_t> ends{0};
      std::uint64_t at = 0, marked = 0;
      bool fits = changed.front() == lines.front();
      for (const std::string& each : changed) {
        fits = fits && (at == 0) == (each == lines.front());
        if (each[8] == '|') {
          const std::uint64_t mark = std::stoull(each.substr(9));
          fits = fits && mark > marked && ends.count(mark) == 1;
          marked = mark;
        }
        ends.insert(at += each.size());
      }
      CHECK(opened(text_of(changed)).has_value() == fits);
    }
  }
}

TEST_CASE("Journal splice: whichever byte is changed, the journal is refused or opens to an earlier state") {
  const std::string journal = closed_journal(3);
  const auto states = states_of(lines_of(journal));
  for (std::size_t at = 0; at < journal.size(); ++at) {
    for (const int bits : {0x01, 0x04, 0x10, 0x20, 0xFF}) {
      CAPTURE(at, bits);
      std::string changed = journal;
      changed[at] = static_cast<char>(changed[at] ^ bits);
      const auto found = opened(changed);
      if (found && states.count(*found) == 0) FAIL_CHECK("opens to a state that never was");
    }
  }
}

TEST_CASE("Journal splice: refusals name the place and the reason") {
  const std::string a = line(R"(["a",1])", "|71 ");
  const std::string b = line(R"(["b",2])");
  const std::string other = line(R"({"kvstore_journal":1,"id":"00000000000000bb","snapshot":null})");
  const struct {
    const char* what;
    std::string journal;
    std::string place;
    std::string reason;
  } cases[] = {
      {"two journals", kHeader + a + other + b, "byte " + std::to_string(71 + a.size() + 9), "one header"},
      {"the header twice", kHeader + kHeader + a, "byte 80", "one header"},
      {"no header first", a + kHeader, "byte 0", "fewer stand before"},
      {"a step before the header", b + kHeader, "byte 9", "a journal's header"},
      {"a mark before the header", line("null") + kHeader, "byte 9", "a journal's header"},
      {"a base before the header", line(R"({"snapshot":null})") + kHeader, "byte 9", "a journal's header"},
      {"beyond its place", kHeader + line(R"(["a",1])", "|72 "), "byte 71", "fewer stand before"},
      {"far beyond", kHeader + line(R"(["a",1])", "|18446744073709551615 "), "byte 71", "fewer stand before"},
      {"within a line", kHeader + line(R"(["a",1])", "|70 "), "byte 71", "no line ends there"},
      {"a sign", kHeader + line(R"(["a",1])", "|+5 ") + b, "byte 71", "a number of synced bytes"},
      {"an exponent", kHeader + line(R"(["a",1])", "|1e3 ") + b, "byte 71", "a number of synced bytes"},
      {"2^64", kHeader + line(R"(["a",1])", "|18446744073709551616 ") + b, "byte 71", "a number of synced"},
      {"nothing", kHeader + line(R"(["a",1])", "| ") + b, "byte 71", "a number of synced bytes"},
      {"zero", kHeader + line(R"(["a",1])", "|0 ") + b, "byte 71", "a number of synced bytes"},
      {"another separator", kHeader + line(R"(["a",1])", "#71 ") + b, "byte 71", "a number of synced bytes"},
      {"no separator", kHeader + line(R"(["a",1])", "") + b, "byte 71", "a number of synced bytes"},
      {"the same mark twice", kHeader + a + line(R"(["b",2])", "|71 "),
       "byte " + std::to_string(71 + a.size()), "an earlier line"},
      {"no id", line(R"({"kvstore_journal":1,"snapshot":null})") + b, "byte 9", "the id of the journal"},
      {"an empty id", line(R"({"kvstore_journal":1,"id":"","snapshot":null})") + b, "byte 9", "the id"},
      {"version 0", kHeader + line(R"({"kvstore_journal":0,"snapshot":null})"), "byte 80", "one header"},
      {"version 0 first", line(R"({"kvstore_journal":0,"snapshot":null})"), "byte 9", "a version of the"}};
  for (const auto& each : cases) {
    CAPTURE(each.what);
    CHECK_THAT(refusal_of(each.journal),
               ContainsSubstring(".journal: " + each.place) && ContainsSubstring(each.reason));
    CHECK_FALSE(opened(each.journal));
  }
}

TEST_CASE("Journal splice: .next continues all of the journal beside it, and no more") {
  const std::string journal = kHeader + line(R"(["a",1])", "|71 ");
  const auto next = [&](std::size_t bytes) {
    return line(R"({"kvstore_journal":1,"id":"00000000000000cc","follows":"00000000000000aa","bytes":)" +
                std::to_string(bytes) + "}") +
           line(R"(["b",2])");
  };
  CHECK(opened(journal, next(journal.size())) == Contents{{"a", 1}, {"b", 2}});
  CHECK(opened(journal, next(journal.size() + 1)) == Contents{{"a", 1}});  // its end was not on disk yet
  for (const std::size_t bytes : {journal.size() - 1, std::size_t{71}, std::size_t{0}}) {
    CHECK_THAT(
        refusal_of(journal, next(bytes)),
        ContainsSubstring(".journal: byte " + std::to_string(bytes)) && ContainsSubstring("continues from"));
    CHECK_FALSE(opened(journal, next(bytes)));
  }
}

TEST_CASE(
    "Journal: emptying the store line by line costs no more than the lines, however many segments there "
    "are") {
  const std::string put = line(R"(["a",1])"), more = line(R"([["b",2],["c",3]])"), gone = line(R"(["a"])");
  std::string journal = kHeader;
  for (int i = 0; i < 20'000; ++i) journal += line("[]") + (i % 3 == 0 ? put + more : gone + put);
  const TempFolder folder;
  write_file(folder / "data.json.journal", journal + line(R"(["d",4])"));
  kvstore::Options options = kManual;
  options.segments = 65536;
  options.read_only = true;
  [[maybe_unused]] const std::clock_t before = std::clock();
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), options};
#ifndef _WIN32  // where this clock counts time, and not what a processor did
  CHECK((std::clock() - before) / CLOCKS_PER_SEC < 30);  // minutes, if each line visits each segment
#endif
  CHECK(store.size() == 2);
  CHECK(store.read("d") == 4);
  CHECK(store.read("a") == 1);
}

TEST_CASE("Journal splice: tools read on through lines whose marks do not fit") {
  Lines lines = lines_of(closed_journal(1));
  lines.erase(lines.begin() + 2);
  const TempFolder folder;
  write_file(folder / "j", text_of(lines));
  kvstore::JournalLines journal{folder / "j"};
  REQUIRE(journal.next());
  REQUIRE(journal.next());
  REQUIRE_THROWS_AS(journal.next(), CorruptionError);
  CHECK(journal.pass_damage() == lines[0].size() + lines[1].size());
  std::size_t left = 0;
  while (journal.next()) ++left;
  CHECK(left == lines.size() - 2);
}

}  // namespace journal_splice_test
