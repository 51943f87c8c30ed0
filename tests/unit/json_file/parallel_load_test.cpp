// SPDX-License-Identifier: MIT

// Several threads load the same as one thread: the same entries in the same order, or the same error. Blocks
// are tiny here, so that small files have many ranges.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/meeting.hpp"
#include "support/random_json.hpp"
#include "support/temp_folder.hpp"

namespace parallel_load_test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using support::TempFolder;
using support::write_file;

namespace {

kvstore::Options looks_only(std::size_t threads) {
  kvstore::Options options;
  options.auto_save_interval = 0ms;
  options.batch_size = 0;
  options.read_only = true;
  options.threads = threads;
  return options;
}

template <class Value>
using Store = kvstore::BatchPersistentKeyValueStore<std::string, Value>;

template <class Value>
std::unique_ptr<Store<Value>> open(const std::filesystem::path& path, const kvstore::Options& options,
                                   std::size_t block) {
  return std::make_unique<Store<Value>>(
      std::make_unique<JsonFile>(path, kvstore::detail::system_file_system(), block), options);
}

/// The result of a load.
struct Outcome {
  std::vector<std::pair<std::string, nlohmann::json>> entries;  // in the order of the tables
  std::string error;
  std::uint64_t offset = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome load(const std::filesystem::path& path, std::size_t threads, std::size_t block) {
  Outcome outcome;
  try {
    const auto store = open<nlohmann::json>(path, looks_only(threads), block);
    store->for_each([&](const std::string& key, const nlohmann::json& value) {
      outcome.entries.emplace_back(key, value);
    });
  } catch (const kvstore::CorruptionError& error) {
    outcome.error = error.what();
    outcome.offset = error.offset();
  }
  return outcome;
}

/// `count` lines as a store writes them. Entry number `bad`, if there is such an entry, has the value
/// `bad_value`.
std::string lines(std::size_t count, std::size_t bad = ~std::size_t{0}, std::string_view bad_value = "") {
  std::string text = "{";
  for (std::size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "\n\"" : ",\n\"") + std::to_string(i) + "\": ";
    text += i == bad ? std::string{bad_value} : std::to_string(i * 7);
  }
  return text + "\n}\n";
}

}  // namespace

TEST_CASE("Parallel load: any layout, whole or damaged, loads as with one thread") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  support::RandomJson json{random};
  const TempFolder folder;
  const auto path = folder / "data.json";
  std::size_t loaded = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string text = json.object(120);
    for (std::size_t i = json.below(3); i > 0; --i) json.damage(text);
    const std::size_t block = std::size_t{8} << json.below(9);
    const std::size_t threads = 2 + json.below(3);
    CAPTURE(round, text, block, threads);
    write_file(path, text);
    const Outcome alone = load(path, 1, block);
    REQUIRE(load(path, threads, block) == alone);
    if (alone.error.empty() && alone.entries.size() > 20) ++loaded;
  }
  CHECK(loaded > 100);  // most texts must load, so that the effort is not spent on refusals
}

TEST_CASE("Parallel load: the error is that of the first bad entry, wherever it stands") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  for (const std::string_view bad : {"\"text\"", "01", "{\"a\" 1}", "1 2", "@", "[1\x01]"}) {
    for (const std::size_t at : {0U, 1U, 20U, 47U, 100U, 398U, 399U}) {
      write_file(path, lines(400, at, bad));
      CAPTURE(bad, at);
      for (const std::size_t threads : {1U, 2U, 3U}) {
        try {
          open<int>(path, looks_only(threads), 128);
          FAIL("loaded");
        } catch (const kvstore::CorruptionError& error) {
          const std::string before = lines(400, at, "");
          const std::size_t value =
              before.find("\"" + std::to_string(at) + "\": ") + std::to_string(at).size() + 4;
          CHECK(error.offset() >= value);
          CHECK(error.offset() <= value + bad.size());
        }
      }
    }
  }
}

namespace {

/// A value that two threads may meet in, and that the codec may refuse.
struct Watched {
  int number = 0;
};
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

support::Meeting* meeting = nullptr;

struct WatchedCodec {
  static void encode(const Watched& value, kvstore::JsonWriter& out) { out.integer(value.number); }
  static Watched decode(kvstore::JsonReader& in) {
    const int number = in.integer<int>();
    if (number == -1) throw Refused{"refused"};
    if (meeting != nullptr && number > 500) meeting->attend();
    return {number};
  }
};

}  // namespace

}  // namespace parallel_load_test

template <>
struct kvstore::Codec<parallel_load_test::Watched> : parallel_load_test::WatchedCodec {};

namespace parallel_load_test {

TEST_CASE("Parallel load: more than one thread decodes values") {
  const TempFolder folder;
  write_file(folder / "data.json", lines(400));
  support::Meeting here;
  meeting = &here;
  const auto store = open<Watched>(folder / "data.json", looks_only(2), 128);
  meeting = nullptr;
  CHECK(here.threads() == 2);
  CHECK(store->size() == 400);
}

TEST_CASE("Parallel load: what a codec throws in another thread comes out, and entries before it were read") {
  const TempFolder folder;
  for (std::size_t at = 0; at < 400; at += 13) {
    write_file(folder / "data.json", lines(400, at, "-1"));
    for (const std::size_t threads : {1U, 2U, 4U}) {
      CHECK_THROWS_AS(open<Watched>(folder / "data.json", looks_only(threads), 128), Refused);
    }
  }
}

TEST_CASE(
    "Parallel load: a wrong guess at where a range begins goes unnoticed, whatever a codec says to it") {
  const TempFolder folder;
  // Within the values there are lines that resemble entries. The codec accepts the values as they are, but
  // would refuse such entries.
  std::string text = "{";
  for (int i = 0; i < 100; ++i) {
    text += (i == 0 ? "\n\"" : ",\n\"") + std::to_string(i) +
            "\": {\n\"a\": 1,\n\"$schema_version\": [-1,\n\"x\", {}]}";
  }
  write_file(folder / "data.json", text + "\n}\n");
  const Outcome alone = load(folder / "data.json", 1, 64);
  CHECK(alone.error == "");
  CHECK(alone.entries.size() == 100);
  CHECK(load(folder / "data.json", 2, 64) == alone);
}

TEST_CASE("Parallel load: a key that comes twice is reported as with one thread") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  std::string text = lines(500'000);  // large enough for several threads to build indices
  const std::string again = ",\n\"123456\": 0,\n\"77\": 0\n}\n";
  const std::uint64_t offset = text.size() - 3 + 2;
  text.replace(text.size() - 3, 3, again);
  write_file(path, text);
  const Outcome alone = load(path, 1, kvstore::detail::kBlockBytes);
  CHECK_THAT(alone.error, ContainsSubstring("duplicate key"));
  CHECK((alone.offset == offset || alone.offset == offset + 13));
  CHECK(load(path, 2, kvstore::detail::kBlockBytes) == alone);
}

TEST_CASE("Parallel load: Options::upgrade and on_progress are called by the thread that opens alone") {
  const TempFolder folder;
  std::string text = lines(20'000);
  const bool versioned = GENERATE(false, true);
  if (versioned) text.insert(1, "\n\"$schema_version\": 1,");
  write_file(folder / "data.json", text);
  kvstore::Options options = looks_only(3);
  std::set<std::thread::id> callers;
  std::size_t upgraded = 0;
  std::vector<kvstore::Progress> told;
  options.schema_version = versioned ? 2 : 0;
  options.upgrade = [&](std::uint32_t, std::string_view, nlohmann::json& value) {
    callers.insert(std::this_thread::get_id());
    value = value.get<int>() + 1;
    ++upgraded;
  };
  options.on_progress = [&](const kvstore::Progress& progress) {
    callers.insert(std::this_thread::get_id());
    told.push_back(progress);
  };
  const auto store = open<int>(folder / "data.json", options, 512);
  CHECK(callers == std::set{std::this_thread::get_id()});
  CHECK(upgraded == (versioned ? 20'000U : 0U));
  CHECK(store->read("3") == (versioned ? 22 : 21));
  REQUIRE(told.size() >= 5);
  for (std::size_t i = 1; i < told.size(); ++i) CHECK(told[i].entries >= told[i - 1].entries);
  CHECK(told.back().finished);
  CHECK(told.back().entries == 20'000);
}

TEST_CASE("Parallel load: what cannot be read comes out as with one thread") {
  const TempFolder folder;
  write_file(folder / "data.json", lines(2000));
  support::FaultFileSystem files;
  const auto open_failing = [&](std::uint64_t nth, std::size_t threads) {
    files.inject({.nth = nth,
                  .error = std::make_error_code(std::errc::io_error),
                  .call = support::Call::read,
                  .forever = true});
    const Store<int> store{std::make_unique<JsonFile>(folder / "data.json", files, 256), looks_only(threads)};
    return store.size();
  };
  for (std::uint64_t nth = 1; nth < 60; nth += 7) {
    CAPTURE(nth);
    CHECK_THROWS_AS(open_failing(nth, 1), kvstore::StorageError);
    CHECK_THROWS_AS(open_failing(nth, 2), kvstore::StorageError);
  }
  files.heal();
  CHECK(Store<int>{std::make_unique<JsonFile>(folder / "data.json", files, 256), looks_only(2)}.size() ==
        2000);
}

}  // namespace parallel_load_test
