// SPDX-License-Identifier: MIT

// Long work reports its progress.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace progress_test {

using namespace std::chrono_literals;
using kvstore::Progress;
using support::TempFolder;
using Phase = Progress::Phase;
using Store = kvstore::BatchPersistentKeyValueStore<int, std::string>;
using Steps = std::vector<Progress>;

namespace {

constexpr int kEntries = 20'000;

kvstore::Options options(Steps& steps) {
  return {.batch_size = 0, .auto_save_interval = 0s, .on_progress = [&steps](const Progress& step) {
            steps.push_back(step);
          }};
}

void fill(Store& store) {
  for (int i = 0; i < kEntries; ++i) store.create(i, std::string(20, 'x'));
}

/// Checks the reports of one piece of work, from its beginning to its end.
void check_steps(const Steps& steps, Phase phase) {
  REQUIRE(steps.size() > 3);
  double before = 0;
  for (const Progress& step : steps) {
    CHECK(step.phase == phase);
    CHECK(step.fraction >= before);
    CHECK(step.fraction <= 1);
    CHECK(step.finished == (&step == &steps.back()));
    before = step.fraction;
  }
  CHECK(steps[steps.size() / 2].fraction > 0.2);
  CHECK(steps[steps.size() / 2].fraction < 0.8);
  CHECK(steps.back().fraction == 1);
  CHECK(steps.back().entries == kEntries);
  CHECK(steps.back().bytes > kEntries * 20);
}

}  // namespace

TEST_CASE("Progress: a save and a load say how far they are") {
  const TempFolder folder;
  Steps steps;
  {
    Store store{folder / "data.json", options(steps)};
    fill(store);
    steps.clear();
    store.save();
    check_steps(steps, Phase::save);
    steps.clear();
  }
  const Store again{folder / "data.json", options(steps)};
  check_steps(steps, Phase::load);
}

TEST_CASE("Progress: compacting a journal says how far it is") {
  const TempFolder folder;
  Steps steps;
  Store store{std::make_unique<kvstore::JsonJournal>(folder / "data.json"), options(steps)};
  fill(store);
  steps.clear();
  store.compact();
  check_steps(steps, Phase::compact);
}

TEST_CASE("Progress: saving changes says how far it is") {
  const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  contents->wanted = kvstore::SaveScope::changes;
  Steps steps;
  Store store{std::make_unique<kvstore::MemoryStorage>(contents), options(steps)};
  fill(store);
  steps.clear();
  store.save();
  check_steps(steps, Phase::save);
}

TEST_CASE("Progress: migrating says how far it is") {
  const TempFolder folder;
  Steps steps;
  {
    Store store{folder / "data.json", options(steps)};
    fill(store);
  }
  steps.clear();
  kvstore::JsonFile from{folder / "data.json"};
  kvstore::JsonFile to{folder / "copy.json"};
  kvstore::migrate(from, to, {.on_progress = [&](const Progress& step) { steps.push_back(step); }});
  check_steps(steps, Phase::migrate);
}

}  // namespace progress_test
