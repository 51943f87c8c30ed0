// SPDX-License-Identifier: MIT
#pragma once

// Stands in for std::counting_semaphore. The one of GCC 12's library loses wake-ups on systems without a
// semaphore of their own, such as Windows.

#include <condition_variable>
#include <mutex>

namespace support {

class Semaphore {
 public:
  void release(int count = 1) {
    const std::scoped_lock lock{mutex_};
    count_ += count;
    released_.notify_all();
  }
  void acquire() {
    std::unique_lock lock{mutex_};
    released_.wait(lock, [this] { return count_ > 0; });
    --count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  int count_ = 0;
};

}  // namespace support
