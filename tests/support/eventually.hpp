// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <thread>

namespace support {

/// Waits until `condition()` holds, for a minute at most. @returns whether it holds
template <class Condition>
[[nodiscard]] bool eventually(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

}  // namespace support
