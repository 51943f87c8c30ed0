// SPDX-License-Identifier: MIT
#pragma once

// A flag that stays down only where work has got through.

#include <atomic>

namespace kvstore { inline namespace v1 { namespace detail {

/// Sets the flag when it dies, unless `passed` was called before.
class FailureMark {
 public:
  explicit FailureMark(std::atomic<bool>& failed) noexcept : failed_{failed} {}
  FailureMark(const FailureMark&) = delete;
  FailureMark& operator=(const FailureMark&) = delete;
  ~FailureMark() {
    if (!passed_) failed_.store(true, std::memory_order_relaxed);
  }

  void passed() noexcept { passed_ = true; }

 private:
  std::atomic<bool>& failed_;
  bool passed_ = false;
};

}}}  // namespace kvstore::v1::detail
