// SPDX-License-Identifier: MIT
#pragma once

// Threads that answer requests, and bounds of how many requests may be with them.

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "problem.hpp"

namespace metrics_server {

/// A bound of how many of something there may be at a time.
class Slots {
 public:
  Slots(std::size_t most, std::string what) : most_{most}, what_{std::move(what)} {}
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  /// Held until the last copy has gone. @throws Refusal if there is none left
  [[nodiscard]] std::shared_ptr<void> take() {
    if (++taken_ <= most_) return {this, [](auto* slots) { --static_cast<Slots*>(slots)->taken_; }};
    --taken_;
    throw Refusal{503,
                  std::to_string(most_) + " " + what_ + ", and there may be no more: try again later",
                  {{"Retry-After", "10"}}};
  }

 private:
  std::size_t most_;
  std::string what_;
  std::atomic<std::size_t> taken_{0};
};

/// The work that a request makes.
enum class Work {
  none,     ///< no store
  entry,    ///< one entry: it may wait for a save
  list,     ///< all entries: it takes time and memory, and waits for nobody
  figures,  ///< the store's figures: it takes little
};

struct Workers {
  Workers(std::size_t thread_count, std::size_t most, std::string what)
      : threads{thread_count}, requests{most, std::move(what)} {}

  boost::asio::thread_pool threads;
  Slots requests;  ///< those that wait or are being answered
};

/// Each kind of work has its own threads, so that none makes another wait.
class Staff {
 public:
  static constexpr std::size_t kMaxEntryRequests = 256, kMaxListRequests = 128, kMaxFiguresRequests = 32;
  static constexpr std::size_t kMaxRequests = kMaxEntryRequests + kMaxListRequests + kMaxFiguresRequests;

  [[nodiscard]] Workers& of(Work work) noexcept {
    return work == Work::entry ? entries_ : work == Work::list ? lists_ : figures_;
  }
  void join() {
    for (Workers* const workers : {&entries_, &lists_, &figures_}) workers->threads.join();
  }

 private:
  Workers entries_{16, kMaxEntryRequests, "requests for entries wait"};
  Workers lists_{4, kMaxListRequests, "requests for lists wait"};
  Workers figures_{1, kMaxFiguresRequests, "requests for figures wait"};
};

}  // namespace metrics_server
