// SPDX-License-Identifier: MIT
#pragma once

// Keeps a store that is open for reading only up to date with what the program that owns it saves.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "store.hpp"
#include "visible.hpp"

namespace metrics_server {

class Follower {
  using Clock = std::chrono::steady_clock;

 public:
  explicit Follower(Store& store)
      : store_{store}, thread_{[this](const std::stop_token& stop) { run(stop); }} {}

  /// After which the entries no longer count as those of the file.
  static constexpr std::chrono::seconds kOld{5};

  struct State {
    std::chrono::duration<double> age{};  ///< since the files were read last
    std::uint64_t changes = 0;            ///< times that something new was read
    std::uint64_t failures = 0;
    std::string trouble{};  ///< why the last time failed; empty if it did not

    [[nodiscard]] bool is_old() const { return age > kOld; }
  };

  [[nodiscard]] State state() const {
    const std::scoped_lock lock{mutex_};
    State now = state_;
    now.age = Clock::now() - read_;
    return now;
  }

 private:
  static constexpr std::chrono::seconds kPause{1};

  void run(const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock{mutex};
    while (!stop.stop_requested()) {
      refresh();
      wake_.wait_for(lock, stop, kPause, [] { return false; });
    }
  }

  void refresh() {
    const Clock::time_point begin = Clock::now();
    try {
      const bool changed = store_.refresh();
      const std::scoped_lock lock{mutex_};
      read_ = begin;
      state_.changes += changed ? 1 : 0;
      state_.trouble.clear();
    } catch (const std::exception& error) { note(error.what()); }
  }

  /// What was read last stays, if the file cannot be read now. A trouble is told once.
  void note(const std::string& trouble) {
    {
      const std::scoped_lock lock{mutex_};
      ++state_.failures;
      if (state_.trouble == trouble) return;
      state_.trouble = trouble;
    }
    complain(trouble);
  }

  Store& store_;
  mutable std::mutex mutex_;
  State state_;
  Clock::time_point read_ = Clock::now();  ///< the store has just been opened
  std::condition_variable_any wake_;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace metrics_server
