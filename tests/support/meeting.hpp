// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <set>
#include <thread>

namespace support {

/// Lets threads wait for each other until two have arrived.
class Meeting {
 public:
  void attend() {
    std::unique_lock lock{mutex_};
    there_.insert(std::this_thread::get_id());
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds{30}, [this] { return there_.size() > 1; });
  }
  [[nodiscard]] std::size_t threads() {
    const std::scoped_lock lock{mutex_};
    return there_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::thread::id> there_;
};

}  // namespace support
