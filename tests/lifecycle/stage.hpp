// SPDX-License-Identifier: MIT
#pragma once

// The parts that the scenes share: their store, and a wire to the test that watches.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/play.hpp"

namespace lifecycle {

using namespace std::chrono_literals;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string>;

/// The storage, the folder and the library of a scene, as given on the command line.
struct Stage {
  std::string storage;
  std::filesystem::path folder;
  std::string library;
};
inline Stage stage;

/// Sends one whole line to the test.
inline void say(std::string line) {
  line += '\n';
  if (::write(support::kWire, line.data(), line.size()) != static_cast<::ssize_t>(line.size())) ::_exit(99);
}

/// Writes `key`, and then reports to the test that this was acknowledged.
inline void put(Store& store, const std::string& key) {
  store.upsert(key, "value of " + key);
  say("+" + key);
}

[[nodiscard]] inline std::unique_ptr<kvstore::Storage> open_storage() {
  return support::open_lifecycle_storage(stage.storage, stage.folder);
}

/// Options under which only the scene or the end of the process saves, or, with `batches_of_four`, a full
/// batch.
[[nodiscard]] inline kvstore::Options unsaved() { return {.batch_size = 1000, .auto_save_interval = 0ms}; }
[[nodiscard]] inline kvstore::Options batches_of_four() {
  return {.batch_size = support::kBatch, .auto_save_interval = 0ms};
}
[[nodiscard]] inline kvstore::Options each_saved() { return {.batch_size = 1, .auto_save_interval = 0ms}; }

/// The one static store of the program. The first call sets its options.
inline Store& static_store(kvstore::Options options = unsaved()) {
  static Store store{open_storage(), std::move(options)};
  return store;
}

/// Writes a key in its destructor.
struct LastWord {
  explicit LastWord(const char* word) : key{word} {}
  LastWord(const LastWord&) = delete;
  LastWord& operator=(const LastWord&) = delete;
  ~LastWord() { put(static_store(), key); }
  const char* key;
};

/// Makes every later write to a file fail.
inline void refuse_writes() {
  std::signal(SIGXFSZ, SIG_IGN);
  ::rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = 0;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

/// A gate that stays closed until one process opens it for another.
class Gate {
 public:
  Gate() {
    if (::pipe(ends_.data()) != 0) throw std::runtime_error{"pipe failed"};
  }
  void open() const {
    if (::write(ends_[1], "!", 1) != 1) ::_exit(98);
  }
  void pass() const {
    char mark = 0;
    if (::read(ends_[0], &mark, 1) != 1) ::_exit(97);
  }

 private:
  std::array<int, 2> ends_{};
};

/// Waits for a child, and reports its end to the test.
inline void await(::pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  say("child: " + support::how_it_ended(status));
}

/// Reports the outcome of `verb` to the test.
template <class Verb>
void attempt(const std::string& name, const Verb& verb) {
  try {
    verb();
    say(name + ": done");
  } catch (const kvstore::UsageError& error) {
    say(name + ": UsageError: " + error.what());
  } catch (const std::exception& error) { say(name + ": other error: " + error.what()); }
}

}  // namespace lifecycle
