// SPDX-License-Identifier: MIT

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace journal_test {

using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;
using kvstore::JsonJournal;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using Contents = std::map<std::string, int>;

namespace {

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

Store open(const std::filesystem::path& path, kvstore::Options options = kManual) {
  return Store{std::make_unique<JsonJournal>(path), std::move(options)};
}

Contents contents(const Store& store) {
  Contents result;
  store.for_each([&](const std::string& key, int value) { result[key] = value; });
  return result;
}

Contents reopened(const std::filesystem::path& path) { return contents(open(path)); }

std::string line(std::string_view body, std::string_view separator = " ") {
  const std::string rest = std::string{separator}.append(body);
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()}.append(rest).append("\n");
}

std::string header(std::string_view rest = R"("snapshot":null)") {
  return line(R"({"kvstore_journal":1,"id":"00000000000000aa",)" + std::string{rest} + "}");
}

/// The offset of the damage that opening reports. If opening succeeds, requires the contents `expected`, and
/// returns nothing.
std::optional<std::uint64_t> damage_met(const std::filesystem::path& path, const Contents& expected) {
  Contents found;
  try {
    found = reopened(path);
  } catch (const kvstore::CorruptionError& error) { return error.offset(); }
  REQUIRE(found == expected);
  return std::nullopt;
}

/// Copies the files as a killed process would leave them.
void copy_files(const TempFolder& from, const TempFolder& to) {
  for (const std::string& name : to.names()) std::filesystem::remove(to / name);
  for (const std::string& name : from.names()) {
    if (!name.ends_with(".lock")) std::filesystem::copy_file(from / name, to / name);
  }
}

}  // namespace

TEST_CASE("CRC-32C: it has the values of RFC 3720, by table and by instruction") {
  using kvstore::detail::crc32c;
  const std::string zeros(32, '\0');
  const std::string ones(32, '\xff');
  std::string rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<char>(i));
  REQUIRE(crc32c(zeros) == 0x8a9136aaU);
  REQUIRE(crc32c(ones) == 0x62a8ab43U);
  REQUIRE(crc32c(rising) == 0x46dd794eU);
  REQUIRE(crc32c("123456789") == 0xe3069283U);
  REQUIRE(crc32c("6789", crc32c("12345")) == crc32c("123456789"));
  for (std::size_t length = 0; length < rising.size(); ++length) {
    const std::string_view part = std::string_view{rising}.substr(0, length);
    REQUIRE(~kvstore::detail::crc32c_by_table(~0U, part) == crc32c(part));
  }
}

TEST_CASE("Journal: what was stored is there after a restart") {
  const TempFolder folder;
  {
    Store store = open(folder / "data.json");
    store.create("a", 1);
    store.create("b\n\"", 2);
    store.update("a", 3);
    store.create("c", 4);
    store.remove("c");
    kvstore::WriteBatch<std::string, int> batch;
    batch.create("d", 5).remove("a").create("e", 6);
    store.apply(batch);
  }
  REQUIRE(reopened(folder / "data.json") == Contents{{"b\n\"", 2}, {"d", 5}, {"e", 6}});
  {
    Store store = open(folder / "data.json");
    store.clear();
    store.create("f", 7);
  }
  REQUIRE(reopened(folder / "data.json") == Contents{{"f", 7}});
}

TEST_CASE("Journal: an operation is in the file when it returns, without a save") {
  const TempFolder folder;
  const TempFolder copy;
  Store store = open(folder / "data.json");
  for (int i = 0; i < 20; ++i) {
    store.create(std::to_string(i), i);
    copy_files(folder, copy);
    REQUIRE(reopened(copy / "data.json").size() == static_cast<std::size_t>(i) + 1);
  }
  REQUIRE(store.unsaved() == 20);
}

TEST_CASE("Journal: a JSON file is taken over, and given back by compact and close") {
  const TempFolder folder;
  support::write_file(folder / "data.json", R"({"a": 1, "b": 2})");
  {
    Store store = open(folder / "data.json");
    REQUIRE(contents(store) == Contents{{"a", 1}, {"b", 2}});
    store.update("a", 10);
    store.save();
    REQUIRE(support::read_file(folder / "data.json") == R"({"a": 1, "b": 2})");
    store.compact();
    REQUIRE(store.unsaved() == 0);
    store.close();
  }
  REQUIRE(folder.names() == std::set<std::string>{"data.json"});
  const Store plain{folder / "data.json"};
  REQUIRE(contents(plain) == Contents{{"a", 10}, {"b", 2}});
}

TEST_CASE("Journal: JsonFile refuses a file that has one, and says what to do") {
  const TempFolder folder;
  open(folder / "data.json").create("a", 1);
  REQUIRE_THROWS_WITH(Store{folder / "data.json"},
                      ContainsSubstring("JsonJournal") && ContainsSubstring("compact()"));
  REQUIRE(reopened(folder / "data.json") == Contents{{"a", 1}});
}

TEST_CASE("Journal: operations after a compaction are kept beside the new snapshot") {
  const TempFolder folder;
  {
    Store store = open(folder / "data.json");
    for (int round = 0; round < 5; ++round) {
      store.upsert("round", round);
      store.create(std::to_string(round), round);
      store.compact();
    }
    store.create("after", 1);
  }
  const Contents after = reopened(folder / "data.json");
  REQUIRE(after.size() == 7);
  REQUIRE(after.at("round") == 4);
}

TEST_CASE("Journal: when it has outgrown its snapshot it is compacted in the background") {
  const TempFolder folder;
  kvstore::BatchPersistentKeyValueStore<int, std::string> store{
      std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  const std::string value(1000, 'x');
  for (int i = 0; !std::filesystem::exists(folder / "data.json"); ++i) store.upsert(i % 100, value);
  store.close();
  const auto journal = folder / "data.json.journal";
  if (std::filesystem::exists(journal)) REQUIRE(std::filesystem::file_size(journal) < 64 << 20);
  kvstore::BatchPersistentKeyValueStore<int, std::string> again{
      std::make_unique<JsonJournal>(folder / "data.json")};
  REQUIRE(again.size() <= 100);
  REQUIRE(again.read(0) == value);
}

TEST_CASE("Journal: a torn end is dropped at every byte, and what stands before it is kept") {
  const TempFolder folder;
  const TempFolder copy;
  std::vector<std::uint64_t> ends;
  const auto journal_bytes = [&] {
    const std::string text = support::read_file(folder / "data.json.journal");
    return text.find_last_not_of('\0') + 1;
  };
  Store store = open(folder / "data.json");
  ends.push_back(journal_bytes());
  for (int i = 0; i < 3; ++i) {
    store.create(std::to_string(i), i);
    ends.push_back(journal_bytes());
  }
  const std::string whole = support::read_file(folder / "data.json.journal");
  for (std::size_t length = ends.front(); length <= ends.back(); ++length) {
    for (const bool zero_filled : {false, true}) {
      std::string torn = whole.substr(0, length);
      if (zero_filled) torn.resize(whole.size(), '\0');
      support::write_file(copy / "data.json.journal", torn);
      std::size_t complete = 0;
      while (complete + 1 < ends.size() && ends[complete + 1] <= length) ++complete;
      Store again = open(copy / "data.json");
      REQUIRE(again.size() == complete);
      again.create("new", 1);  // the new line must neither meet the torn end nor be mistaken for it
      again.close();
      REQUIRE(reopened(copy / "data.json").size() == complete + 1);
    }
  }
}

TEST_CASE("Journal: every flipped bit of one closed cleanly is reported with its offset, or harmless") {
  const TempFolder folder;
  const TempFolder copy;
  Contents expected;
  {
    Store store = open(folder / "data.json", {.batch_size = 2, .auto_save_interval = 0s});
    for (int i = 0; i < 6; ++i) {
      store.create("key" + std::to_string(i), i);
      expected["key" + std::to_string(i)] = i;
    }
  }
  const std::string whole = support::read_file(folder / "data.json.journal");
  const std::size_t last_line = whole.rfind('\n', whole.size() - 2) + 1;  // a mark, which holds no data
  int reported = 0;
  for (std::size_t byte = 0; byte < whole.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[byte] = static_cast<char>(flipped[byte] ^ (1 << bit));
      support::write_file(copy / "data.json.journal", flipped);
      CAPTURE(byte, bit);
      const auto damage = damage_met(copy / "data.json", expected);
      REQUIRE((damage || byte + 1 >= last_line));
      if (damage) {
        ++reported;
        REQUIRE(*damage <= byte);
        REQUIRE(whole.find('\n', *damage) >= byte);  // the damaged line begins at that offset
        REQUIRE(support::read_file(copy / "data.json.journal") == flipped);
      }
      for (const std::string& name : copy.names()) std::filesystem::remove(copy / name);
    }
  }
  REQUIRE(reported > 1000);
}

TEST_CASE(
    "Journal: damage before the end of one that was killed is reported where a later line vouches for it") {
  const TempFolder folder;
  const TempFolder copy;
  Store store = open(folder / "data.json", {.batch_size = 1, .auto_save_interval = 0s});
  for (int i = 0; i < 5; ++i) store.create(std::to_string(i), i);
  copy_files(folder, copy);
  std::string text = support::read_file(copy / "data.json.journal");
  const std::size_t place = text.find(R"(["3",3])");
  text[place + 5] = '9';
  support::write_file(copy / "data.json.journal", text);
  REQUIRE_THROWS_AS(reopened(copy / "data.json"), kvstore::CorruptionError);
  REQUIRE(support::read_file(copy / "data.json.journal") == text);
}

TEST_CASE("Bad input: each journal that cannot be right has its own clear error, and nothing is changed") {
  struct Case {
    const char* what;
    const char* snapshot;  // null: none
    std::string journal;
    const char* says;
  };
  const Case cases[] = {
      {"belongs to another snapshot", R"({"a": 1})",
       header(R"("snapshot":{"size":5,"crc32c":"00000000"})") + line(R"(["k",1])"), "does not belong"},
      {"its snapshot is missing", nullptr,
       header(R"("snapshot":{"size":5,"crc32c":"00000000"})") + line(R"(["k",1])"), "is missing"},
      {"a newer version", nullptr, line(R"({"kvstore_journal":3,"id":"x","other":[1]})"), "format version 3"},
      {"an id that is no number", nullptr, line(R"({"kvstore_journal":2,"id":"0123456789abcdeF"})"),
       "16 lower-case hex digits"},
      {"no header", nullptr, line(R"(["k",1])"), "expected a journal's header"},
      {"a value of another type", nullptr, header() + line(R"(["k","text"])"), "expected"},
      {"an expiry", nullptr, header() + line(R"(["k",1,1800000000000])"), "expected no expiry"},
      {"a line that is no step", nullptr, header() + line(R"("k")"), "expected"},
      {"a broken line that a later one vouches for", nullptr,
       header() + "garbage\n" + line(R"(["k",1])", "|79 "), "matching checksum"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    const TempFolder folder;
    if (c.snapshot != nullptr) support::write_file(folder / "data.json", c.snapshot);
    support::write_file(folder / "data.json.journal", c.journal);
    const auto before = folder.names();
    REQUIRE_THROWS_WITH(open(folder / "data.json"),
                        ContainsSubstring(c.says) && ContainsSubstring("data.json.journal"));
    REQUIRE(folder.names() == before);
    REQUIRE(support::read_file(folder / "data.json.journal") == c.journal);
  }
}

TEST_CASE("Bad input: a journal without changes may lie beside an edited snapshot") {
  const TempFolder folder;
  support::write_file(folder / "data.json", R"({"edited": 1})");
  support::write_file(folder / "data.json.journal", header());
  REQUIRE(reopened(folder / "data.json") == Contents{{"edited", 1}});
}

TEST_CASE("Bad input: a zero-filled end is no damage") {
  const TempFolder folder;
  support::write_file(folder / "data.json.journal",
                      header() + line(R"(["k",1])") + std::string(3 << 20, '\0'));
  REQUIRE(reopened(folder / "data.json") == Contents{{"k", 1}});
}

TEST_CASE("Bad input: a line of a gigabyte is passed over in bounded memory") {
  const TempFolder folder;
  const auto journal = folder / "data.json.journal";
  support::write_file(journal, header() + line(R"(["k",1])") + "x");
  std::filesystem::resize_file(journal, std::uint64_t{1} << 30);
  REQUIRE(reopened(folder / "data.json") == Contents{{"k", 1}});
}

TEST_CASE("Journal: JSON text with line feeds between its tokens stays on one line") {
  kvstore::JsonWriter out;
  const kvstore::Change change{"k", "{\n \"a\": [1,\n2]\n}"};
  kvstore::detail::write_step(out, {&change, 1});
  REQUIRE(out.text() == R"(["k",{  "a": [1, 2] }])");
}

TEST_CASE("Journal: a value too large for a line is saved by a snapshot") {
  const TempFolder folder;
  using Texts = kvstore::BatchPersistentKeyValueStore<int, std::string>;
  const std::string huge(kvstore::detail::kMaxLine, 'x');
  {
    Texts store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
    store.create(1, "small");
    store.create(2, huge);
    REQUIRE(std::filesystem::file_size(folder / "data.json") > huge.size());
    store.create(3, "after");
  }
  Texts store{std::make_unique<JsonJournal>(folder / "data.json"), kManual};
  REQUIRE(store.size() == 3);
  REQUIRE(store.read(2) == huge);
}

/// A storage with a journal. Its own `save` must never be called.
class SavesByJournalOnly final : public kvstore::Storage {
 public:
  explicit SavesByJournalOnly(const std::filesystem::path& path) : storage_{path} {}
  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    storage_.load(request, sink);
  }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return storage_.scope(); }
  void save(kvstore::ChangeSource&) override { throw std::logic_error{"asked for a save"}; }
  [[nodiscard]] bool is_intact() override { return storage_.is_intact(); }
  [[nodiscard]] kvstore::Journal* journal() noexcept override { return storage_.journal(); }

 private:
  JsonJournal storage_;
};

TEST_CASE("Journal: a store syncs and compacts it by its own calls, never by a save of the storage") {
  const TempFolder folder;
  Store store{std::make_unique<SavesByJournalOnly>(folder / "data.json"), {.batch_size = 1}};
  store.create("a", 1);
  CHECK_NOTHROW(store.save());
  store.create("b", 2);
  store.clear();
  CHECK_NOTHROW(store.save());
  CHECK_NOTHROW(store.compact());
  CHECK(store.unsaved() == 0);
  CHECK_NOTHROW(store.close());
}

}  // namespace journal_test
