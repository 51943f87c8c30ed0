// SPDX-License-Identifier: MIT
#pragma once

// Keeps a store that is open for reading only up to date with what the program that owns it saves.

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "store.hpp"
#include "visible.hpp"

namespace metrics_server {

class Follower {
 public:
  explicit Follower(Store& store)
      : store_{store}, thread_{[this](const std::stop_token& stop) { run(stop); }} {}

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

  /// What was read last stays, if the file cannot be read now. A trouble is told once.
  void refresh() {
    try {
      store_.refresh();
      trouble_.clear();
    } catch (const std::exception& error) {
      if (trouble_ == error.what()) return;
      trouble_ = error.what();
      complain(trouble_);
    }
  }

  Store& store_;
  std::string trouble_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace metrics_server
