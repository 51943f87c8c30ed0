// SPDX-License-Identifier: MIT
#pragma once

// Simulates a system that can start no more threads. For glibc.

#include <pthread.h>

#include <cstddef>

namespace support {

/// While an object of this class lives, no thread can be started: each would need a stack larger than memory
/// can be.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    ::pthread_getattr_default_np(&usual_);
    pthread_attr_t greedy;
    ::pthread_attr_init(&greedy);
    ::pthread_attr_setstacksize(&greedy, std::size_t{1} << (8 * sizeof(std::size_t) - 2));
    ::pthread_setattr_default_np(&greedy);
    ::pthread_attr_destroy(&greedy);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;
  ~NoMoreThreads() {
    ::pthread_setattr_default_np(&usual_);
    ::pthread_attr_destroy(&usual_);
  }

 private:
  pthread_attr_t usual_{};
};

}  // namespace support
