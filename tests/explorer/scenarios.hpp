// SPDX-License-Identifier: MIT
#pragma once

// The actions of tasks on a store, and the set-ups in which they act: every pair of actors, and chosen
// triples.

#include <array>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "explorer/binding.hpp"
#include "explorer/history.hpp"
#include "explorer/world.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "kvstore/write_batch.hpp"
#include "support/scheduler.hpp"
#include "support/temp_folder.hpp"

namespace explorer {

/// An action of a task on the store. `own` is a key that no other task writes.
struct Actor {
  std::string_view name;
  void (*act)(World& world, const std::string& own);
};

inline void put(World& world, const std::string& own) {
  world.change("put " + own, 1, [=](State& state) { state[own] = 1; }, [&] { world.store().upsert(own, 1); });
}
inline void put_twice(World& world, const std::string& own) {
  put(world, own);
  world.change(
      "put again " + own, 1, [=](State& state) { state[own] = 2; }, [&] { world.store().upsert(own, 2); });
}
inline void remove(World& world, const std::string& own) {
  put(world, own);
  world.change(
      "remove " + own, 1, [=](State& state) { state.erase(own); },
      [&] { return world.store().try_remove(own); });
}
inline void batch(World& world, const std::string& own) {
  kvstore::WriteBatch<std::string, int> both;
  both.upsert(own, 3).upsert("shared", 4);
  world.change(
      "batch " + own, 2, [=](State& state) { state[own] = 3, state["shared"] = 4; },
      [&] { world.store().apply(both); });
}
inline void clear(World& world, const std::string&) {
  world.change(
      "clear", 1, [](State& state) { state.clear(); },
      [&] {
        const bool changes = world.store().size() != 0;  // no point in between, so no other task
        world.store().clear();
        return changes;
      });
}
inline void save(World& world, const std::string&) {
  world.save("save", [&] { world.store().save(); });
}
inline void compact(World& world, const std::string&) {
  world.save("compact", [&] { world.store().compact(); });
}
inline void close(World& world, const std::string&) {
  const auto outcome = world.save("close", [&] { world.store().close(); });
  if (outcome == World::Outcome::done) world.note_closed();
}
inline void load_from(World& world, const std::string&) {
  const auto contents = std::make_shared<kvstore::MemoryStorage::Contents>();
  contents->entries = {{"old", "8"}, {"new", "9"}};
  kvstore::MemoryStorage from{contents};
  world.save(
      "load_from", [&] { world.store().load_from(from); }, 1,
      [](State& state) { state = {{"old", 8}, {"new", 9}}; });
}
/// Copies the store into a file system in memory, whose calls are not points: the path of a checkpoint
/// belongs to the real system.
inline void checkpoint(World& world, const std::string& own) {
  static const support::TempFolder folder{
      std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path()};
  const auto path = folder / (own + ".json");
  world.copy("checkpoint", path, [&] { world.store().checkpoint(path); });
  std::filesystem::remove(path);
}

inline void follow(World& world, const std::string&) { world.follow(); }

inline constexpr std::array kActors{
    Actor{"put", put_twice},         Actor{"remove", remove},       Actor{"batch", batch},
    Actor{"clear", clear},           Actor{"save", save},           Actor{"compact", compact},
    Actor{"checkpoint", checkpoint}, Actor{"load_from", load_from}, Actor{"close", close},
    Actor{"follow", follow}};

struct NamedSetup {
  std::string name;
  Setup setup;
};

/// Each storage with each way to save.
[[nodiscard]] inline std::vector<NamedSetup> setups() {
  using std::chrono::seconds;
  std::vector<NamedSetup> all;
  for (const auto& [name, keeping] :
       {std::pair{"journal", Keeping::journal}, std::pair{"file", Keeping::file},
        std::pair{"staged", Keeping::staged_journal}, std::pair{"marked", Keeping::marked_journal}}) {
    const std::string prefix = std::string{name} + '/';
    all.push_back({prefix + "each", {.keeping = keeping, .batch_size = 1}});
    if (keeping == Keeping::staged_journal) continue;
    all.push_back({prefix + "two", {.keeping = keeping, .batch_size = 2}});
    all.push_back({prefix + "manual", {.keeping = keeping, .batch_size = 0}});
    all.push_back({prefix + "auto", {.keeping = keeping, .batch_size = 0, .auto_save_interval = seconds{1}}});
    all.push_back({prefix + "background",
                   {.keeping = keeping,
                    .batch_size = 1,
                    .auto_save_interval = seconds{1},
                    .batch_save = kvstore::BatchSave::background}});
    all.push_back({prefix + "upserting handler",
                   {.keeping = keeping,
                    .batch_size = 1,
                    .auto_save_interval = seconds{1},
                    .on_error = OnError::upsert}});
    all.push_back(
        {prefix + "saving handler",
         {.keeping = keeping, .batch_size = 1, .auto_save_interval = seconds{1}, .on_error = OnError::save}});
  }
  return all;
}

struct Scenario {
  std::string name;
  Setup setup;
  std::vector<Actor> actors;

  /// Runs the scenario once.
  void operator()(support::Scheduler& run) const {
    World world{setup};
    std::vector<support::Scheduler::Actor> tasks;
    for (std::size_t i = 0; i < actors.size(); ++i) {
      const std::string own(1, static_cast<char>('a' + i));
      tasks.push_back(
          {std::string{actors[i].name} + ' ' + own, [&world, own, this, i] { actors[i].act(world, own); }});
    }
    run.run_together(std::move(tasks));
    world.finish();
  }
};

[[nodiscard]] inline const Actor& actor(std::string_view name) {
  for (const Actor& one : kActors) {
    if (one.name == name) return one;
  }
  throw std::logic_error{"no actor is called " + std::string{name}};
}

[[nodiscard]] inline std::vector<std::vector<Actor>> casts() {
  std::vector<std::vector<Actor>> all;
  for (std::size_t i = 0; i < kActors.size(); ++i) {
    for (std::size_t j = i; j < kActors.size(); ++j) all.push_back({kActors[i], kActors[j]});
  }
  constexpr std::array<std::array<std::string_view, 3>, 12> kTriples{{{"put", "put", "save"},
                                                                      {"put", "put", "close"},
                                                                      {"put", "save", "compact"},
                                                                      {"put", "compact", "close"},
                                                                      {"put", "compact", "compact"},
                                                                      {"put", "load_from", "save"},
                                                                      {"put", "load_from", "compact"},
                                                                      {"batch", "save", "close"},
                                                                      {"put", "checkpoint", "compact"},
                                                                      {"clear", "put", "compact"},
                                                                      {"put", "compact", "follow"},
                                                                      {"compact", "load_from", "follow"}}};
  for (const auto& names : kTriples) all.push_back({actor(names[0]), actor(names[1]), actor(names[2])});
  return all;
}

/// All scenarios, with names of the form `storage/saving/actor+actor`.
[[nodiscard]] inline std::vector<Scenario> scenarios() {
  std::vector<Scenario> all;
  for (const NamedSetup& setup : setups()) {
    for (const auto& cast : casts()) {
      std::string name = setup.name + '/';
      for (const Actor& one : cast) (name += name.back() == '/' ? "" : "+") += one.name;
      all.push_back({std::move(name), setup.setup, cast});
    }
  }
  return all;
}

}  // namespace explorer
