// SPDX-License-Identifier: MIT
#pragma once

// Helper threads for large work: their number, and how they start. Also threads that a store cannot do
// without.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr std::size_t kMaxThreads = 64;

inline std::atomic<std::size_t> known_processors{0};  // 0: not asked yet

/// The number of processors, at least 1. Only the first call asks the system: on Linux that reads files, and
/// took 30 of the 220 microseconds in which a small store opens and closes.
[[nodiscard]] inline std::size_t processors() noexcept {
  std::size_t number = known_processors.load(std::memory_order_relaxed);
  if (number == 0) {
    number = std::max<std::size_t>(std::thread::hardware_concurrency(), 1);
    known_processors.store(number, std::memory_order_relaxed);
  }
  return number;
}

/// The number of threads that load a large store if `Options::threads` is `wanted`.
[[nodiscard]] inline std::size_t threads_to_load(std::size_t wanted) noexcept {
  return wanted != 0 ? wanted : std::min<std::size_t>(processors(), 2);
}

/// The same for saving. Operations go on meanwhile and need processors too, so saving takes half of them.
[[nodiscard]] inline std::size_t threads_to_save(std::size_t wanted) noexcept {
  return wanted != 0 ? wanted : std::clamp<std::size_t>(processors() / 2, 1, 2);
}

/// Starts up to `wanted` threads, which join when they are destroyed. The system may give fewer, so the
/// caller must be able to do the work alone.
template <class Work>
[[nodiscard]] std::vector<std::jthread> start_helpers(std::size_t wanted, const Work& work) {
  std::vector<std::jthread> helpers;
  try {
    while (helpers.size() < wanted) helpers.emplace_back(work);
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): no more threads
  } catch (const std::bad_alloc&) {}    // NOLINT(bugprone-empty-catch): the same
  return helpers;
}

/// Runs `start`, which starts a thread that the store cannot do without. @throws StorageError that names
/// `path`, if the system has no thread to give
template <class Start>
decltype(auto) start_needed(const std::filesystem::path& path, const Start& start) {
  try {
    return start();
  } catch (const std::system_error& error) {
    throw StorageError{path, error.code(), "cannot start a thread"};
  }
}

/// Calls `work(i)` for each `i` below `count`, in `threads` threads including the caller's. Throws the
/// exception of the lowest `i`, as a sequential loop would.
template <class Work>
void for_each_index(std::size_t count, std::size_t threads, const Work& work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;  // guards the next two
  std::size_t failed = count;
  std::exception_ptr failure;
  const auto run = [&]() noexcept {
    for (std::size_t i = 0; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        work(i);
      } catch (...) {
        const std::scoped_lock lock{mutex};
        if (i > failed) continue;
        failed = i;
        failure = std::current_exception();
      }
    }
  };
  {
    const auto helpers = start_helpers(threads - 1, run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}}}  // namespace kvstore::v1::detail
