// SPDX-License-Identifier: MIT

// A store that follows another process is refreshed in the middle of its own checkpoint. The progress
// callback of the checkpoint refreshes the store. So every order of cut, slice and change occurs without
// luck.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/temp_folder.hpp"

namespace refreshed_checkpoint_test {

using namespace std::chrono_literals;
using support::contents_of;
using support::TempFolder;
using Path = std::filesystem::path;
using Store = kvstore::BatchPersistentKeyValueStore<int, int>;
using State = std::map<int, int>;

namespace {

constexpr int kKeys = 20'000;

kvstore::Options quiet(std::size_t segments) {
  return {.batch_size = 0, .auto_save_interval = 0s, .segments = segments};
}

State saved_in(const Path& file) {
  return contents_of(Store{file, {.read_only = true}});  // refuses a key that occurs twice
}

/// The difference in words, since the states are too long to show; empty if there is none.
std::string difference(const State& found, const State& expected) {
  std::size_t missing = 0;
  std::size_t changed = 0;
  for (const auto& [key, value] : expected) {
    const auto at = found.find(key);
    missing += at == found.end() ? 1U : 0U;
    changed += at != found.end() && at->second != value ? 1U : 0U;
  }
  const std::size_t added = found.size() + missing - expected.size();
  if (missing + changed + added == 0) return "";
  return std::to_string(missing) + " missing, " + std::to_string(changed) + " changed, " +
         std::to_string(added) + " added";
}

/// Keeps the number of entries, and changes every tenth of them in some way.
void change(Store& store, std::mt19937& random, int round) {
  kvstore::WriteBatch<int, int> batch;
  State state = contents_of(store);
  for (const auto& [key, value] : state) {
    const auto chosen = random() % 30;
    if (chosen == 0) batch.remove(key).create(key + 100'000 * (round + 1), value);
    if (chosen == 1) batch.update(key, value + 1'000'000);
    if (chosen == 2) batch.remove(key).create(key, -value);
  }
  store.apply(std::move(batch));
}

/// Fills a store and follows it. At each progress of the follower's checkpoint, `act` changes the store, and
/// then the follower is refreshed. The checkpoint must hold the state of the follower at its begin.
template <class Storage>
void checkpoint_beside(const std::function<void(Store&, int)>& act) {
  for (const std::size_t segments : {1U, 4U, 64U}) {
    const TempFolder folder;
    Store owner{std::make_unique<Storage>(folder / "data.json"), quiet(segments)};
    for (int key = 0; key < kKeys; ++key) owner.create(key, key);
    owner.save();
    Store* reader = nullptr;
    int round = 0;
    kvstore::Options following = quiet(segments);
    following.read_only = true;
    following.threads = 1;
    following.on_progress = [&](const kvstore::Progress& progress) {
      if (reader == nullptr || progress.phase != kvstore::Progress::Phase::save || progress.finished) return;
      act(owner, round++);
      owner.save();
      CHECK(reader->refresh());
    };
    Store follower{std::make_unique<Storage>(folder / "data.json"), following};
    reader = &follower;
    const State before = contents_of(follower);
    follower.checkpoint(folder / "copy.json");
    reader = nullptr;
    INFO(segments << " segments");
    CHECK(round >= 2);
    CHECK(difference(saved_in(folder / "copy.json"), before) == "");
    CHECK(difference(contents_of(follower), contents_of(owner)) == "");
    follower.checkpoint(folder / "copy.json");
    CHECK(difference(saved_in(folder / "copy.json"), contents_of(owner)) == "");
  }
}

}  // namespace

TEMPLATE_TEST_CASE("Checkpoint of a follower: changes that a refresh brings meanwhile are not in it", "",
                   kvstore::JsonFile, kvstore::JsonJournal) {
  std::mt19937 random{11};
  checkpoint_beside<TestType>([&](Store& owner, int round) { change(owner, random, round); });
}

TEMPLATE_TEST_CASE("Checkpoint of a follower: entries that a refresh removes meanwhile are still in it", "",
                   kvstore::JsonFile, kvstore::JsonJournal) {
  checkpoint_beside<TestType>([](Store& owner, int round) {
    if (round == 1) owner.clear();
    for (int key = 0; key < 5000; ++key) owner.upsert(key * (round + 1), -1);
  });
}

TEMPLATE_TEST_CASE("Checkpoint of a follower: a refresh after a compaction does not mix two moments", "",
                   kvstore::JsonFile, kvstore::JsonJournal) {
  std::mt19937 random{12};
  checkpoint_beside<TestType>([&](Store& owner, int round) {
    change(owner, random, round);
    owner.compact();
    owner.upsert(-1, round);
  });
}

}  // namespace refreshed_checkpoint_test
