// SPDX-License-Identifier: MIT

// Many changes in one call: `apply` of every short batch against the verbs one by one, and `upsert_many`.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_value_store.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "kvstore/write_batch.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

namespace together_test {

using support::contents_of;
using Store = kvstore::KeyValueStore<std::string, std::string>;
using Batch = kvstore::WriteBatch<std::string, std::string>;
using State = std::map<std::string, std::string>;

namespace {

/// One operation of a batch: an action on one of two keys. Values differ in length, so that some fit in
/// place.
struct Step {
  std::size_t action;
  std::size_t key;
  std::size_t place;  // in the batch

  [[nodiscard]] std::string name() const { return key == 0 ? "a" : "a key that is not short"; }
  [[nodiscard]] std::string value() const {
    return std::string(3 + 40 * place, static_cast<char>('0' + place));
  }
};

constexpr std::size_t kActions = 4;
constexpr std::size_t kKeys = 2;
constexpr std::size_t kMaxSteps = 4;

/// The state after the operations one by one; nothing if one of them fails.
std::optional<State> one_by_one(State state, const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    const bool exists = state.contains(step.name());
    if (step.action == 0 ? exists : (step.action == 1 || step.action == 3) && !exists) return std::nullopt;
    if (step.action == 3)
      state.erase(step.name());
    else
      state[step.name()] = step.value();
  }
  return state;
}

Batch batch_of(const std::vector<Step>& steps) {
  Batch batch;
  for (const Step& step : steps) {
    if (step.action == 0) batch.create(step.name(), step.value());
    if (step.action == 1) batch.update(step.name(), step.value());
    if (step.action == 2) batch.upsert(step.name(), step.value());
    if (step.action == 3) batch.remove(step.name());
  }
  return batch;
}

template <class AnyBatch>
std::optional<State> applied(const State& start, AnyBatch&& batch) {
  Store store;
  for (const auto& [key, value] : start) store.create(key, value);
  try {
    store.apply(std::forward<AnyBatch>(batch));
  } catch (const kvstore::Error&) {
    REQUIRE(contents_of(store) == start);
    return std::nullopt;
  }
  return contents_of(store);
}

template <class Visit>
void for_each_batch(std::vector<Step>& steps, const Visit& visit) {
  visit();
  if (steps.size() == kMaxSteps) return;
  for (std::size_t action = 0; action < kActions; ++action) {
    for (std::size_t key = 0; key < kKeys; ++key) {
      steps.push_back({action, key, steps.size()});
      for_each_batch(steps, visit);
      steps.pop_back();
    }
  }
}

}  // namespace

TEST_CASE("Batch: every short one does what its operations do one by one, or nothing, copied or moved") {
  const State starts[] = {
      {}, {{"a", "0123456789"}}, {{"a", ""}, {"a key that is not short", std::string(90, 'x')}}};
  std::size_t batches = 0;
  for (const State& start : starts) {
    std::vector<Step> steps;
    for_each_batch(steps, [&] {
      const std::optional<State> expected = one_by_one(start, steps);
      const Batch batch = batch_of(steps);
      REQUIRE(applied(start, batch) == expected);
      for (const Step& step : steps) REQUIRE(batch.operations()[step.place].key == step.name());
      REQUIRE(applied(start, batch_of(steps)) == expected);
      ++batches;
    });
  }
  CHECK(batches == 3 * (1 + 8 + 64 + 512 + 4096));
}

TEST_CASE("Batch: values that can only be moved are moved") {
  kvstore::KeyValueStore<int, std::unique_ptr<int>> store;
  store.create(1, std::make_unique<int>(10));
  kvstore::WriteBatch<int, std::unique_ptr<int>> batch;
  batch.upsert(1, std::make_unique<int>(11)).create(2, std::make_unique<int>(20));
  store.apply(std::move(batch));
  CHECK(store.visit(1, [](const std::unique_ptr<int>& value) { CHECK(*value == 11); }));
  CHECK(store.visit(2, [](const std::unique_ptr<int>& value) { CHECK(*value == 20); }));
}

TEST_CASE("Batch: a short value that replaces a huge one does not keep its memory") {
  Store store;
  store.create("a", std::string(std::size_t{1} << 20, 'x'));
  Batch batch;
  batch.upsert("a", "short");
  store.apply(batch);
  CHECK(store.visit("a", [](const std::string& value) { CHECK(value.capacity() < 1000); }));
}

TEST_CASE("upsert_many: sets entries of any range of pairs, and of equal keys the last one counts") {
  Store store;
  store.create("a", "old");
  store.upsert_many({{"a", "1"}, {"b", "2"}, {"a", "3"}});
  CHECK(contents_of(store) == State{{"a", "3"}, {"b", "2"}});
  store.upsert_many(State{{"b", "4"}, {"c", "5"}});
  store.upsert_many(std::vector<std::pair<std::string, std::string>>{});
  CHECK(contents_of(store) == State{{"a", "3"}, {"b", "4"}, {"c", "5"}});
}

TEST_CASE("upsert_many: any number of entries, each counted, and few lines in a journal") {
  const support::TempFolder folder;
  const auto path = folder / "data.json";
  std::vector<std::pair<int, std::string>> entries;
  for (int i = 0; i < 1000; ++i) entries.emplace_back(i % 900, std::to_string(i));
  std::map<int, std::string> expected(entries.begin(), entries.end());
  for (const auto& [key, value] : entries) expected[key] = value;
  using Kept = kvstore::BatchPersistentKeyValueStore<int, std::string>;
  {
    Kept store{std::make_unique<kvstore::JsonJournal>(path), {.batch_size = 0}};
    store.upsert_many(entries);
    CHECK(store.metrics().of(kvstore::Verb::upsert).done == 1000);
    CHECK(store.unsaved() != 0);
    store.save();
    CHECK(store.unsaved() == 0);
  }
  std::size_t lines = 0;
  for (const char byte : support::read_file(folder / "data.json.journal")) lines += byte == '\n' ? 1 : 0;
  CHECK(lines < 10);
  const Kept store{std::make_unique<kvstore::JsonJournal>(path)};
  std::map<int, std::string> loaded;
  store.for_each([&](int key, const std::string& value) { loaded[key] = value; });
  CHECK(loaded == expected);
}

TEST_CASE("upsert_many: an entry that cannot be stored is named, and those of its step are not set") {
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{
      std::make_unique<kvstore::MemoryStorage>()};
  CHECK_THROWS_WITH(store.upsert_many({{"a", "1"}, {"bad", "\xFF"}}),
                    Catch::Matchers::ContainsSubstring("\"bad\""));
  CHECK(store.empty());
}

TEST_CASE("Together: a batch that was moved from is empty, and one that was refused is as before") {
  Store store;
  Batch batch;
  batch.create("a key that is not short", "a value that is not short either").create("b", "2");
  store.apply(std::move(batch));
  CHECK(batch.empty());  // NOLINT(bugprone-use-after-move): that is promised
  store.apply(batch);
  CHECK(contents_of(store).size() == 2);

  batch.update("a key that is not short", "another").create("b", "twice");
  CHECK_THROWS_AS(store.apply(std::move(batch)), kvstore::DuplicateKeyError);
  REQUIRE(batch.size() == 2);
  CHECK(batch.operations()[0].key == "a key that is not short");
  CHECK(batch.operations()[0].value == "another");
}

TEST_CASE("Together: a batch that is applied and not on disk yet is empty too") {
  using support::SimulatedDisk;
  SimulatedDisk disk;
  support::FaultFileSystem files{disk};
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{
      std::make_unique<kvstore::JsonFile>("/sim/data.json", files),
      {.batch_size = 1, .auto_save_interval = std::chrono::milliseconds{0}, .complain = false}};
  files.inject({.error = std::make_error_code(std::errc::io_error), .forever = true});
  Batch batch;
  batch.create("a key that is not short", "a value that is not short either");
  CHECK_THROWS_AS(store.apply(std::move(batch)), kvstore::StorageError);
  CHECK(batch.empty());  // NOLINT(bugprone-use-after-move): that is promised
  CHECK(store.read("a key that is not short") == "a value that is not short either");
  files.heal();
  store.close();
}

}  // namespace together_test
