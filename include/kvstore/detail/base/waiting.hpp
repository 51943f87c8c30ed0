// SPDX-License-Identifier: MIT
#pragma once

// The primitives that a store waits with. Tests substitute primitives of their own, which decide at each step
// which thread goes on.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace kvstore { inline namespace v1 { namespace detail {

struct StandardMeans {
  using Lock = std::mutex;
  using Condition = std::condition_variable;
  using Thread = std::jthread;
  using Clock = std::chrono::steady_clock;
};

/// The primitives of a store whose segments have locks of type `Mutex`.
template <class Mutex>
struct Waiting {
  using Means = StandardMeans;
};

}}}  // namespace kvstore::v1::detail
