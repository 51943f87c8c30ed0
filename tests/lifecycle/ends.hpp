// SPDX-License-Identifier: MIT
#pragma once

// Scenes of a process that ends in one way or another, without a fork.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "stage.hpp"
#include "support/lifecycle_storage.hpp"

namespace lifecycle {

// Late writers ------------------------------------------------------------------------------------

inline void static_store_alone() {
  for (const char* key : {"a", "b", "c"}) put(static_store(), key);
}

inline void thread_local_of_a_thread() {
  static_store();
  std::thread{[] {
    // Made before the buffers of the thread, so it ends after them.
    thread_local const LastWord last{"last word of a thread"};
    static_cast<void>(&last);
    put(static_store(), "first");
  }}.join();
}

inline void thread_local_of_main() {
  static_store();
  thread_local const LastWord last{"last word of main"};
  static_cast<void>(&last);
  put(static_store(), "first");
}

inline void exit_handler() {
  static_store();
  std::atexit([] { put(static_store(), "from the handler"); });
  put(static_store(), "first");
}

inline void static_object() {
  static_store();
  static const LastWord last{"last word of an object"};
  put(static_store(), "first");
}

/// Keys whose text needs a buffer of the thread, so that a save needs this buffer.
inline void static_store_of_odd_keys() {
  using OddStore = kvstore::BatchPersistentKeyValueStore<std::optional<std::string>, std::string>;
  static OddStore store{open_storage(), unsaved()};
  store.upsert("odd", "value");
  say("+odd");
}

struct Visits {
  int count = 0;
};
inline void to_json(nlohmann::json& json, const Visits& visits) { json = {{"count", visits.count}}; }
inline void from_json(const nlohmann::json& json, Visits& visits) { json.at("count").get_to(visits.count); }

inline void count_a_visit() {
  kvstore::BatchPersistentKeyValueStore<std::string, Visits> store{open_storage(), unsaved()};
  Visits visits = store.try_read("visits").value_or(Visits{});
  ++visits.count;
  store.upsert("visits", visits);
  store.close();
  say("visits: " + std::to_string(visits.count));
}

/// An object that is older than every object of the library opens a store in its destructor.
inline void store_of_a_late_object() {
  struct Late {
    ~Late() { count_a_visit(); }
  };
  static const Late late;
  count_a_visit();
  count_a_visit();
}

// Calls of exit() from a callback -----------------------------------------------------------------

/// The state of the thread of main. As with any static object, no other thread may be in a verb of a store
/// while exit() destroys it.
enum class MainThread : int { in_verbs, waits, exits };
inline std::atomic<MainThread> main_thread = MainThread::in_verbs;
inline const std::thread::id kMainThread = std::this_thread::get_id();

inline void note_main_thread(MainThread where) {
  main_thread = where;
  main_thread.notify_all();
}

/// Waits: the thread of main has nothing more to do.
[[noreturn]] inline void wait_for_the_end() {
  note_main_thread(MainThread::waits);
  while (true) ::pause();
}

/// For a handler of a store that saves in the background. Either thread may call the handler.
inline void exit_out_of_verbs() {
  if (std::this_thread::get_id() == kMainThread) {
    note_main_thread(MainThread::exits);
    std::exit(3);
  }
  main_thread.wait(MainThread::in_verbs);
  if (main_thread == MainThread::waits) std::exit(3);
}

inline void exit_at_once() { std::exit(3); }

inline kvstore::Options leaving_at_error(kvstore::Options options, void (*leave)() = exit_at_once) {
  options.on_error = [leave](const std::exception&) { leave(); };
  return options;
}

inline kvstore::Options leaving_when_saved(kvstore::Options options, void (*leave)() = exit_at_once) {
  options.log_level = kvstore::LogLevel::debug;
  options.logger = [leave](const kvstore::LogEvent& event) {
    if (event.event == "saved") leave();
  };
  return options;
}

inline kvstore::Options by_the_saver(kvstore::Options options) {
  options.batch_save = kvstore::BatchSave::background;
  return options;
}

inline void exit_in_on_error() {
  Store& store = static_store(leaving_at_error(each_saved()));
  put(store, "first");
  refuse_writes();
  store.upsert("second", "");
}

inline void exit_in_on_error_of_close() {
  Store& store = static_store(leaving_at_error(unsaved()));
  put(store, "first");
  store.save();
  store.upsert("second", "");
  refuse_writes();
  store.close();
  std::exit(3);  // reached with a journal, whose close() needs no write
}

inline void exit_in_on_error_of_the_saver() {
  Store& store = static_store(leaving_at_error(by_the_saver(each_saved()), exit_out_of_verbs));
  put(store, "first");
  store.save();
  refuse_writes();
  store.upsert("second", "");
  wait_for_the_end();
}

inline void exit_in_logger() { put(static_store(leaving_when_saved(each_saved())), "first"); }

inline void exit_in_logger_of_the_saver() {
  put(static_store(leaving_when_saved(by_the_saver(each_saved()), exit_out_of_verbs)), "first");
  wait_for_the_end();
}

inline void exit_in_visit() {
  Store& store = static_store(each_saved());
  put(store, "first");
  store.visit("first", [](const std::string&) { std::exit(3); });
}

/// A store with two unsaved operations.
inline Store& store_of_two(kvstore::Options options) {
  Store& store = static_store(std::move(options));
  store.upsert("first", "");
  store.upsert("second", "");
  return store;
}

inline void exit_in_visit_unsaved() {
  store_of_two(unsaved()).visit("first", [](const std::string&) { std::exit(3); });
}

inline void exit_in_for_each_unsaved() {
  store_of_two(unsaved()).for_each([](const std::string&, const std::string&) { std::exit(3); });
}

inline void exit_in_modify() {
  Store& store = static_store(each_saved());
  put(store, "first");
  store.modify("first", [](std::string&) { std::exit(3); });
}

inline void write_until_closed(Store& store, const std::string& name, std::atomic<int>& written) {
  try {
    for (int i = 0;; ++i) {
      put(store, name + std::to_string(i));
      ++written;
    }
  } catch (const kvstore::UsageError&) { wait_for_the_end(); }
}

/// A handler of exit() closes the store. The store is never destroyed, since no thread may use a destroyed
/// one.
inline void exit_beside_writers() {
  static Store* const store = new Store{open_storage(), unsaved()};
  std::atexit([] { store->close(); });
  static std::atomic<int> written = 0;
  std::vector<std::thread> writers;
  for (const char* name : {"x", "y", "z"})
    writers.emplace_back([name] { write_until_closed(*store, name, written); });
  std::thread{[] {
    while (written < 100) std::this_thread::yield();
    std::exit(3);
  }}.join();
}

// Ends without a destructor -----------------------------------------------------------------------

inline void put_ten(Store& store) {
  for (int i = 0; i < 10; ++i) put(store, "key " + std::to_string(i));
}

inline void quick_exit() {
  put_ten(static_store(batches_of_four()));
  std::quick_exit(0);
}

inline void leaked_store() {
  static Store* const leaked = new Store{open_storage(), batches_of_four()};
  put_ten(*leaked);
}

inline void store_on_the_stack() {
  Store store{open_storage(), batches_of_four()};
  put_ten(store);
  std::exit(0);
}

inline void terminated() {
  put_ten(static_store(batches_of_four()));
  std::raise(SIGTERM);
}

inline void killed_while_it_writes() {
  static std::atomic<int> written = 0;
  static_store(batches_of_four());
  const std::jthread killer{[] {
    while (written < 50) std::this_thread::yield();
    ::kill(::getpid(), SIGKILL);
  }};
  for (;; ++written) put(static_store(), "key " + std::to_string(written));
}

/// The second program of this process.
inline void after_exec() {
  Store store{open_storage(), each_saved()};
  put(store, "from the second program");
}

inline void exec_without_fork() {
  put_ten(static_store(each_saved()));
  ::execl("/proc/self/exe", "player", "after exec", stage.storage.c_str(), stage.folder.c_str(), nullptr);
}

/// A store in a program that was started without standard descriptors. The output of the program must not end
/// up in the files.
inline void standard_descriptors_closed() {
  for (const int descriptor : {0, 1, 2}) ::close(descriptor);
  Store& store = static_store(each_saved());
  for (const char* key : {"a", "b", "c"}) {
    put(store, key);
    for (const int descriptor : {1, 2}) static_cast<void>(!::write(descriptor, "words\n", 6));
  }
}

// Failing destructors -----------------------------------------------------------------------------

inline void failing_destructor_with(kvstore::Options options) {
  Store store{open_storage(), std::move(options)};
  store.upsert("first", "");
  store.upsert("second", "");
  refuse_writes();
}

inline void failing_destructor() { failing_destructor_with(unsaved()); }

inline void failing_destructor_with_on_error() {
  kvstore::Options options = unsaved();
  options.on_error = [](const std::exception&) { say("on_error"); };
  failing_destructor_with(std::move(options));
}

inline void failing_destructor_with_logger() {
  kvstore::Options options = unsaved();
  options.logger = [](const kvstore::LogEvent& event) { say(std::string{event.event}); };
  failing_destructor_with(std::move(options));
}

// Complaints switched off -------------------------------------------------------------------------

inline kvstore::Options silent() {
  kvstore::Options options = unsaved();
  options.complain = false;
  return options;
}

inline void silent_exit_in_visit() {
  store_of_two(silent()).visit("first", [](const std::string&) { std::exit(3); });
}

inline void silent_leaked_store() {
  static Store* const leaked = new Store{open_storage(), silent()};
  put_ten(*leaked);
}

inline void silent_store_on_the_stack() {
  Store store{open_storage(), silent()};
  put_ten(store);
  std::exit(0);
}

inline void silent_failing_destructor() { failing_destructor_with(silent()); }

}  // namespace lifecycle
