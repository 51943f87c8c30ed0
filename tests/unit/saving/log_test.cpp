// SPDX-License-Identifier: MIT

// The events that a logger gets. A failing logger cannot harm the store.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/temp_folder.hpp"

namespace log_test {

using namespace std::chrono_literals;
using kvstore::LogLevel;
using support::Disk;
using support::storage_on;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

namespace {

/// Keeps the events of a logger.
class Log {
 public:
  [[nodiscard]] kvstore::Options options(LogLevel level = LogLevel::info) {
    return {.batch_size = 0,
            .auto_save_interval = 0s,
            .logger = [this](const kvstore::LogEvent& event) { add(event); },
            .log_level = level};
  }

  [[nodiscard]] std::vector<std::string> events() const {
    std::vector<std::string> result;
    for (const auto& [event, line] : told_) result.push_back(event);
    return result;
  }
  /// The line of the last event of that name, without the times.
  [[nodiscard]] std::string last(std::string_view event) const {
    for (auto told = told_.rbegin(); told != told_.rend(); ++told) {
      if (told->first == event) return told->second.substr(0, told->second.find(" seconds="));
    }
    return "";
  }
  [[nodiscard]] std::string all() const {
    std::string result;
    for (const auto& [event, line] : told_) result += line + '\n';
    return result;
  }
  void clear() { told_.clear(); }

 private:
  void add(const kvstore::LogEvent& event) {
    const std::scoped_lock lock{mutex_};
    told_.emplace_back(event.event, to_string(event));
  }

  std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> told_;
};

using Events = std::vector<std::string>;

}  // namespace

TEST_CASE("Log: a store tells of its life, with figures") {
  Log log;
  const auto disk = std::make_shared<Disk>();
  {
    Store store{storage_on(disk), log.options()};
    store.create("a key", "a value");
    store.save();
  }
  CHECK(log.events() == Events{"loaded", "opened", "saved", "closed"});
  CHECK(log.last("saved").ends_with(" entries=1 bytes=14"));

  log.clear();
  const Store again{storage_on(disk), log.options()};
  CHECK(log.last("loaded").ends_with(" entries=1 bytes=14"));
  CHECK(log.last("opened").ends_with(" entries=1"));
}

TEST_CASE("Log: values never appear, and keys at debug level only") {
  Log info;
  Log debug;
  for (Log* const log : {&info, &debug}) {
    Store store{storage_on(std::make_shared<Disk>()),
                log->options(log == &info ? LogLevel::info : LogLevel::debug)};
    store.create("the key", "the value");
    store.modify("the key", [](std::string& value) { value += " changed"; });
    kvstore::WriteBatch<std::string, std::string> batch;
    batch.upsert("another", "one");
    store.apply(batch);
    store.remove("the key");
    CHECK_THROWS_AS(store.create("another", "the value"), kvstore::DuplicateKeyError);
    CHECK_THROWS_AS(store.create("bad", "\xFF"), kvstore::ValueError);
    store.clear();
  }
  CHECK(info.all().find("the value") == std::string::npos);
  CHECK(info.all().find("the key") == std::string::npos);
  CHECK(debug.all().find("the value") == std::string::npos);
  const Events changes{"changed", "changed", "changed", "changed", "changed"};
  const auto events = debug.events();
  CHECK(std::search(events.begin(), events.end(), changes.begin(), changes.end()) != events.end());
  CHECK(debug.all().find(R"(changed path="memory" verb="create" key="the key")") != std::string::npos);
  CHECK(debug.all().find(R"(changed path="memory" verb="apply" key="another")") != std::string::npos);
  CHECK(debug.last("changed") == R"(changed path="memory" verb="clear")");
}

TEST_CASE("Log: a save that failed, that it is tried again, and that it succeeded") {
  Log log;
  const auto disk = std::make_shared<Disk>();
  Store store{storage_on(disk), log.options()};
  store.create("a", "1");
  disk->fail = true;
  CHECK_THROWS_AS(store.save(), kvstore::StorageError);
  CHECK(log.events().back() == "save failed");
  CHECK(log.last("save failed").find("error=") != std::string::npos);
  disk->fail = false;
  store.save();
  CHECK(log.events() == Events{"loaded", "opened", "save failed", "retried", "saved"});
  CHECK(log.last("retried").ends_with(" failures=1"));
}

TEST_CASE("Log: a journal tells of what it recovered, dropped and compacted") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  Log log;
  {
    Store store{std::make_unique<kvstore::JsonJournal>(path), log.options(LogLevel::debug)};
    store.create("a", "1");
    store.create("b", "2");
    store.save();
    CHECK(log.events().back() == "saved");
  }
  std::ofstream{path.string() + ".journal", std::ios::app} << "torn";
  log.clear();
  Store store{std::make_unique<kvstore::JsonJournal>(path), log.options()};
  CHECK(log.events() == Events{"dropped torn tail", "recovered", "loaded", "opened"});
  CHECK(log.last("dropped torn tail").ends_with(" bytes=4"));
  CHECK(log.last("recovered").ends_with(" records=2"));
  store.compact();
  CHECK(log.events().back() == "compacted");
  CHECK(log.last("compacted").ends_with(" entries=2 bytes=8"));
}

TEST_CASE("Log: checkpoints, what replaces everything, and schema upgrades") {
  const TempFolder folder;
  Log log;
  {
    Store store{folder / "data.json", log.options()};
    store.create("a", "1");
    store.checkpoint(folder / "copy.json");
    CHECK(log.last("checkpoint written").find("copy.json\" entries=1 bytes=4") != std::string::npos);
    store.load_from(folder / "copy.json");
    CHECK(log.last("replaced").find("copy.json\" entries=1") != std::string::npos);
  }
  kvstore::Options options = log.options();
  options.schema_version = 2;
  options.upgrade = [](std::uint32_t, std::string_view, nlohmann::json&) {};
  const Store store{folder / "data.json", options};
  CHECK(log.last("upgraded").ends_with(" entries=1 schema_version=2"));
}

TEST_CASE("Log: what a logger throws is swallowed, and it may use the store") {
  const TempFolder folder;
  const auto disk = std::make_shared<Disk>();
  Store* open = nullptr;
  std::size_t seen = 0;
  kvstore::Options options{.batch_size = 1,
                           .auto_save_interval = 0s,
                           .logger =
                               [&](const kvstore::LogEvent& event) {
                                 if (open != nullptr && event.event != "checkpoint written") {
                                   seen = open->size();
                                   open->save();
                                   open->checkpoint(folder / "copy.json");
                                 }
                                 throw std::runtime_error{"the disk of the log is full"};
                               },
                           .log_level = LogLevel::debug};
  Store store{storage_on(disk), options};
  open = &store;
  store.create("a", "1");
  CHECK(seen == 1);
  CHECK(disk->entries.size() == 1);
  open = nullptr;
}

TEST_CASE("Log: an event as a line cannot be forged by a key") {
  const std::vector<kvstore::LogField> fields{{"path", "a \"b\""},
                                              {"key", "x\nsaved path=\"y\"\\\x7f\u202E\xff"},
                                              {"entries", std::uint64_t{3}},
                                              {"seconds", 0.25}};
  CHECK(to_string(kvstore::LogEvent{LogLevel::debug, "changed", fields}) ==
        R"(changed path="a \"b\"" key="x\x0asaved path=\"y\"\\\x7f\xe2\x80\xae\xff" entries=3 seconds=0.25)");
}

}  // namespace log_test
