// SPDX-License-Identifier: MIT
#pragma once

// Scenes of a process that forks while a store is open.

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ends.hpp"
#include "kvstore/kvstore.hpp"
#include "stage.hpp"
#include "support/lifecycle_storage.hpp"

namespace lifecycle {

/// Forks a child that runs `act` once the gate is open, and then leaves by `exit`.
template <class Act>
::pid_t fork_child(const Gate& gate, const Act& act) {
  const ::pid_t child = ::fork();
  if (child != 0) return child;
  gate.pass();
  act();
  std::exit(0);
}

inline void leave_now() { ::_exit(0); }
inline void become_another_program() { ::execl("/bin/true", "true", nullptr); }
inline void nothing() {}

/// The parent has an unsaved operation at the fork. It writes more while the child runs, and after that.
template <class Act>
void write_around_a_child(const Act& act) {
  Store& store = static_store();
  put(store, "before, saved");
  store.save();
  put(store, "before, unsaved");
  const Gate gate;
  const ::pid_t child = fork_child(gate, act);
  put(store, "beside the child");
  gate.open();
  await(child);
  put(store, "after the child");
}

inline void child_exits() { write_around_a_child(nothing); }
inline void child_leaves_at_once() { write_around_a_child(leave_now); }
inline void child_executes() { write_around_a_child(become_another_program); }
inline void child_closes() {
  write_around_a_child([] { attempt("close", [] { static_store().close(); }); });
}

/// Operations that the parent saved while the child ran survive, although the parent never closes the store.
inline void child_exits_and_parent_dies() {
  Store& store = static_store();
  put(store, "before, unsaved");
  const Gate gate;
  const ::pid_t child = fork_child(gate, nothing);
  put(store, "beside the child");
  store.save();
  gate.open();
  await(child);
  ::_exit(0);
}

/// The child unwinds the stack, with the store on it.
inline void child_returns() {
  Store store{open_storage(), unsaved()};
  put(store, "before, unsaved");
  const Gate gate;
  const ::pid_t child = ::fork();
  if (child == 0) return gate.pass();
  put(store, "beside the child");
  store.save();
  gate.open();
  await(child);
}

inline void attempt_every_verb(Store& store) {
  attempt("create", [&] { store.create("new", ""); });
  attempt("update", [&] { store.update("before", ""); });
  attempt("upsert", [&] { store.upsert("before", ""); });
  attempt("remove", [&] { store.remove("before"); });
  attempt("modify", [&] { store.modify("before", [](std::string& text) { text += '!'; }); });
  attempt("clear", [&] { store.clear(); });
  attempt("apply", [&] {
    kvstore::WriteBatch<std::string, std::string> batch;
    batch.upsert("before", "");
    store.apply(batch);
  });
  attempt("save", [&] { store.save(); });
  attempt("compact", [&] { store.compact(); });
}

/// Opens the store too early: the parent leaves, and the child continues.
inline void daemon() {
  Store& store = static_store(each_saved());
  put(store, "before");
  const Gate gate;
  if (fork_child(gate, [&] { attempt_every_verb(store); }) == 0) return;
  gate.open();
  ::_exit(0);
}

/// Forks first, then opens the store.
inline void proper_daemon() {
  static_cast<void>(kvstore::JsonFile{stage.folder / "other.json"});  // does not concern the child
  if (::fork() != 0) ::_exit(0);
  put(static_store(), "by the child");
}

/// While other threads hold some locks, the process forks.
inline void fork_beside_writers() {
  static_store();
  std::atomic<bool> enough = false;
  std::vector<std::jthread> writers;
  for (const char* name : {"x", "y", "z"}) {
    writers.emplace_back([name, &enough] {
      for (int i = 0; !enough; ++i) {
        put(static_store(), name + std::to_string(i));
        if (i % 16 == 0) static_store().save();
      }
    });
  }
  for (int i = 0; i < 24; ++i) {
    const ::pid_t child = ::fork();
    if (child == 0) {
      if (i % 3 == 1) attempt("upsert", [] { static_store().upsert("x0", ""); });
      if (i % 3 == 2) attempt("close", [] { static_store().close(); });
      std::exit(0);
    }
    await(child);
  }
  enough = true;
}

inline void store_of_the_child() {
  Store& store = static_store();
  put(store, "of the parent");
  const Gate gate;
  const ::pid_t child = fork_child(gate, [] {
    const auto folder = stage.folder / "child";
    std::filesystem::create_directory(folder);
    for (int round = 0; round < 2; ++round) {
      Store own{support::open_lifecycle_storage(stage.storage, folder), unsaved()};
      say("child has " + std::to_string(own.size()));
      own.upsert("of the child", "");
    }
  });
  gate.open();
  await(child);
}

}  // namespace lifecycle
