// SPDX-License-Identifier: MIT
#pragma once

// A flag that stays down only if work has succeeded.

#include <atomic>

namespace kvstore { inline namespace v1 { namespace detail {

/// Its destructor raises the flag unless `passed` was called before.
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
