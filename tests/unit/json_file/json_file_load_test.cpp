// SPDX-License-Identifier: MIT

// A JSON file storage reads any valid JSON object, and nothing that is not valid.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage/json_file.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace json_file_load_test {

using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using kvstore::detail::system_file_system;
using support::CollectingSink;
using support::load_from;
using support::read_file;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using namespace std::string_view_literals;

namespace {

TextEntries load_text(const TempFolder& folder, std::string_view text, std::size_t block = 1U << 20U) {
  write_file(folder / "data.json", text);
  JsonFile storage{folder / "data.json", system_file_system(), block};
  return load_from(storage);
}

struct Damage {
  std::string_view text;
  std::uint64_t offset;
  std::string_view words;
};

constexpr std::string_view kEnds = "found the end of the file";

const std::vector<Damage> kDamages{
    {""sv, 0, kEnds},
    {" \r\n"sv, 3, kEnds},
    {"\xEF\xBB\xBF"sv, 3, kEnds},
    {"\xEF\xBB{}"sv, 0, "expected '{'"},
    {"[1]"sv, 0, "expected '{' at the start of an object, found '['"},
    {"null"sv, 0, "expected '{'"},
    {"{"sv, 1, kEnds},
    {"{\"a"sv, 3, "a key's closing quote, found the end of the file"},
    {"{\"a\""sv, 4, "':' after the key, found the end of the file"},
    {"{\"a\":"sv, 5, "the end of a value, found the end of the file"},
    {"{\"a\":1"sv, 6, kEnds},
    {"{\"a\":\"x"sv, 7, kEnds},
    {"{\"a\":[1"sv, 7, kEnds},
    {"{\"a\":1 "sv, 7, "',' or '}' after an entry, found the end of the file"},
    {"{\"a\":1,"sv, 7, kEnds},
    {"{\"a\":1,}"sv, 7, "a key in double quotes, found '}'"},
    {"{,}"sv, 1, "a key in double quotes, or '}', found ','"},
    {"{a:1}"sv, 1, "a key in double quotes"},
    {"{'a':1}"sv, 1, "a key in double quotes"},
    {"{1:1}"sv, 1, "a key in double quotes"},
    {"{\"a\" 1}"sv, 5, "':' after the key, found '1'"},
    {"{\"a\"=1}"sv, 4, "':' after the key, found '='"},
    {"{\"a\":}"sv, 5, "expected a value, found '}'"},
    {"{\"a\":@}"sv, 5, "expected a value, found '@'"},
    {"{\"a\":1 \"b\":2}"sv, 7, "',' or '}' after an entry, found '\"'"},
    {"{\"a\":1;\"b\":2}"sv, 6, "',' or '}' after an entry, found ';'"},
    {"{\"a\":1,\nb\":2}"sv, 8, "a key in double quotes, found 'b'"},
    {"{\"a\":1;\n\"b\":2}"sv, 6, "',' or '}' after an entry, found ';'"},
    {"{\"a\":1,;\"b\":2}"sv, 7, "a key in double quotes, found ';'"},
    {"{\"a\":1}x"sv, 7, "nothing after the object's '}', found 'x'"},
    {"{\"a\":1}\0"sv, 7, "nothing after"},
    {"{\"a\":1}{}"sv, 7, "nothing after"},
    {"{} // c"sv, 3, "nothing after"},
    {"/**/{}"sv, 0, "expected '{'"},
    {"{\"a\":\"x\ny\"}"sv, 7, "control character"},
    {"{\"a\nb\":1}"sv, 3, "control character"},
    {"{\"a\":[\"x\0y\"]}"sv, 8, "control character"},
    {"{\"k\\x\":1}"sv, 4, "after a backslash"},
    {"{\"\xff\":1}"sv, 2, "UTF-8"},
    {"{\"abcdefghijklmnopqrstuvwxy\xc3\":1}"sv, 27, "UTF-8"},
    {"{\"\\ud800\":1}"sv, 8, "surrogate"},
    // From here on the sink refuses the text, with an offset in the value.
    {"{\"b\":2,\"a\":01}"sv, 12, "the end of the text"},
    {"{\"b\":2,\"a\":tru}"sv, 11, "true or false"},
    {"{\"b\":2,\"a\": [1}, \"c\": 2]}"sv, 14, "',' or ']'"},
    {"{\"b\":2,\"a\":\"\xff\"}"sv, 12, "UTF-8"},
    {"{\"b\":2,\"a\":{\"x\" 1}}"sv, 16, "':'"},
    {"{\"a\":1, \"b\":2,\"a\":3}"sv, 14, "duplicate key \"a\""},
    {"{\"a\":1, \"b\":2, \"\\u0061\":3, \"a\":4}"sv, 15, "duplicate key \"a\""},
};

/// Loads, checks the path and the message of the error, and returns its offset.
std::uint64_t corruption_offset(const TempFolder& folder, std::string_view text, std::string_view words,
                                std::size_t block) {
  try {
    load_text(folder, text, block);
  } catch (const kvstore::CorruptionError& error) {
    CHECK(error.path() == folder / "data.json");
    CHECK_THAT(error.what(), ContainsSubstring(std::string{words}));
    return error.offset();
  }
  FAIL("loaded");
  return 0;
}

}  // namespace

TEST_CASE("JsonFile: a missing file is an empty store") {
  const TempFolder folder;
  JsonFile storage{folder / "data.json"};
  CollectingSink sink;
  storage.load({}, sink);
  CHECK(sink.finished);
  CHECK(sink.entries.empty());
  CHECK(sink.expected_bytes == 0);
}

TEST_CASE("JsonFile: the sink is told the size of the file and that the load is over") {
  const TempFolder folder;
  write_file(folder / "data.json", "{\"a\": 1}");
  JsonFile storage{folder / "data.json"};
  CollectingSink sink;
  storage.load({}, sink);
  CHECK(sink.expected_bytes == 8);
  CHECK(sink.finished);
}

TEST_CASE("JsonFile: any valid object loads, minified, hand-edited, from another system") {
  const TempFolder folder;
  const TextEntries two{{"a", "1"}, {"b", R"([ "}" , {}])"}};
  CHECK(load_text(folder, R"({"a":1,"b":[ "}" , {}]})") == two);
  CHECK(load_text(folder, "{\r\n  \"a\" : 1,\r\n  \"b\" :\r\n [ \"}\" , {}]\r\n}\r\n") == two);
  CHECK(load_text(folder, "\xEF\xBB\xBF \t\n{ \"a\"\n:\n1\n,\n\"b\":[ \"}\" , {}] } \n\n") == two);
  CHECK(load_text(folder, "{}").empty());
  CHECK(load_text(folder, " { } ").empty());
}

TEST_CASE("JsonFile: keys are unescaped and may be of any script") {
  const TempFolder folder;
  CHECK(load_text(folder, R"({"\u0061\n\"": 1, "": 2, "\ud83d\ude00": 3, "é": 4})") ==
        TextEntries{{"a\n\"", "1"}, {"", "2"}, {"\xF0\x9F\x98\x80", "3"}, {"\xc3\xa9", "4"}});
}

TEST_CASE("JsonFile: damage is reported with its offset and leaves the file as it is") {
  const TempFolder folder;
  for (const Damage& damage : kDamages) {
    for (const std::size_t block : {1U, 2U, 3U, 7U, 16U, 64U, 1U << 20U}) {
      INFO("text " << damage.text << ", block of " << block);
      CHECK(corruption_offset(folder, damage.text, damage.words, block) == damage.offset);
      CHECK(read_file(folder / "data.json") == damage.text);
    }
  }
}

TEST_CASE("JsonFile: a file that was cut off anywhere is refused") {
  const TempFolder folder;
  const std::string text = "{\n\"a\": 1,\n\"b\\n\": {\"x\": [1, \"]}\"]},\n\"c\": \"d\",\n\"e\": null\n}\n";
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {
    INFO("first " << size << " bytes");
    CHECK(corruption_offset(folder, text.substr(0, size), kEnds, 16) == size);
  }
  CHECK(load_text(folder, text.substr(0, text.size() - 1)).size() ==
        4);  // only the end of the last line is missing
}

TEST_CASE("JsonFile: the cursor reads nothing beyond its text") {
  using kvstore::detail::JsonCursor;
  const std::string text = "{\n\"a\": 12,\n\"b\": true,\n\"c\": \"d\"\n}\n";
  for (std::size_t size = 0; size < text.size(); ++size) {
    // The text is on the heap at its exact size, for the address sanitizer.
    const std::vector<char> bytes(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    JsonCursor cursor;
    kvstore::detail::JsonEntry entry;
    JsonCursor::Step step{};
    while ((step = cursor.next({bytes.data(), bytes.size()}, false, entry)) == JsonCursor::Step::entry) {}
    CHECK(step == JsonCursor::Step::more);
    CHECK(cursor.position() <= size);
  }
}

TEST_CASE("JsonFile: an entry may cross the end of a block anywhere") {
  const TempFolder folder;
  const std::string text =
      "\xEF\xBB\xBF{\n\"a\": 1,\n\"b\\n\\\"\": {\"x\": [1, \"]\\\\}\"]},\n\"\xc3\xa9\": \"d\\\"\",  \n\"e\" "
      ": null }\n";
  const TextEntries entries{
      {"a", "1"}, {"b\n\"", R"({"x": [1, "]\\}"]})"}, {"\xc3\xa9", R"("d\"")"}, {"e", "null"}};
  for (std::size_t block = 1; block < text.size() + 3; ++block) {
    INFO("block of " << block);
    CHECK(load_text(folder, text, block) == entries);
  }
}

TEST_CASE("JsonFile: entries larger than a block load among small ones") {
  const TempFolder folder;
  const std::string large = '"' + std::string(3U << 20U, 'x') + '"';
  const TextEntries entries{{"a", "1"}, {"b", large}, {"c", "2"}, {"d", large}, {"e", "3"}};
  JsonFile storage{folder / "data.json"};
  support::save_to(storage, entries);
  CHECK(load_from(storage) == entries);
}

TEST_CASE("JsonFile: nesting of 200,000 levels is refused early, at the bracket beyond the limit") {
  const TempFolder folder;
  for (const std::string_view bracket : {"[", "{\"a\":"}) {
    std::string text = "{\"key\": ";
    for (int level = 0; level < 200'000; ++level) text += bracket;
    const std::uint64_t beyond = 8 + bracket.size() * kvstore::kMaxDepth;
    CHECK(corruption_offset(folder, text, "at most 512 levels", 4096) == beyond);
  }
}

TEST_CASE("JsonFile: nesting up to the limit loads") {
  const TempFolder folder;
  const std::string deep = std::string(kvstore::kMaxDepth, '[') + std::string(kvstore::kMaxDepth, ']');
  CHECK(load_text(folder, "{\"a\":" + deep + "}") == TextEntries{{"a", deep}});
}

TEST_CASE("JsonFile: reading goes on after short and interrupted reads") {
  const TempFolder folder;
  write_file(folder / "data.json", R"({"a": "0123456789", "b": [1, 2, 3]})");
  const TextEntries entries{{"a", R"("0123456789")"}, {"b", "[1, 2, 3]"}};
  support::FaultFileSystem files;
  JsonFile storage{folder / "data.json", files};
  files.inject({.call = support::Call::read, .effect = support::Effect::partial, .forever = true});
  CHECK(load_from(storage) == entries);
  files.inject({.error = std::make_error_code(std::errc::interrupted), .call = support::Call::read});
  CHECK(load_from(storage) == entries);
}

TEST_CASE("JsonFile: white space of many megabytes needs no memory of that size") {
  const TempFolder folder;
  write_file(folder / "data.json", std::string(1U << 20U, ' ') + "{" + std::string(1U << 20U, '\n') + "}");
  support::FaultFileSystem files;
  JsonFile storage{folder / "data.json", files, 1024};
  CHECK(load_from(storage).empty());
  CHECK(files.count(support::Call::read) > 2000);  // the block did not grow
}

}  // namespace json_file_load_test
