// SPDX-License-Identifier: MIT
#pragma once

// What a store on servers counts and reports.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/error.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: safe from any thread.
class RemoteObserver {
 public:
  using Counter = std::atomic<std::uint64_t>;

  RemoteObserver(std::string path, std::function<void(const LogEvent&)> logger, LogLevel level)
      : path_{std::move(path)}, logger_{std::move(logger)}, level_{level} {}

  Counter retries = 0;
  Counter redirections = 0;
  Counter refreshes = 0;
  Counter log_ins = 0;
  Counter opened = 0;
  Counter failed = 0;
  static void count(Counter& counter) noexcept { counter.fetch_add(1, std::memory_order_relaxed); }

  /// Runs a call of the servers, and notes how long it took and what became of it.
  template <class Call>
  auto observe(const Call& call) {
    const Timed timed{*this};
    try {
      return call();
    } catch (const OutcomeUnknownError& error) {
      note(unknown_, error);
      throw;
    } catch (const UnavailableError& error) {
      note(unavailable_, error);
      throw;
    } catch (const ReplicationError& error) {
      note(unconfirmed_, error);
      throw;
    } catch (const ServerError& error) {
      note(refused_, error);
      throw;
    }
  }

  /// Tells of a node that failed: once, and again only in debugging, until it has answered.
  void failure(const std::string& node, const std::string& error) noexcept {
    count(failed);
    log(is_first(node) ? LogLevel::warning : LogLevel::debug, "node failed",
        {{"node", node}, {"error", error}});
  }
  /// Whether any node has failed and not answered since.
  [[nodiscard]] bool knows_failures() const noexcept { return any_failing_.load(std::memory_order_relaxed); }
  /// Tells of a node that answers again: the user's commands, since one that hangs up at each of them may
  /// still answer a PING, and would be told of twice a try.
  void success(const std::string& node) noexcept {
    if (knows_failures() && forget(node)) log(LogLevel::info, "node answers", {{"node", node}});
  }

  /// Calls the logger, but not about what the logger itself causes.
  void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const noexcept {
    thread_local bool telling = false;
    if (!logger_ || level < level_ || telling) return;
    telling = true;
    try {
      std::vector<LogField> all{{"path", path_}};
      all.insert(all.end(), fields);
      logger_(LogEvent{level, event, all});
    } catch (...) {  // NOLINT(bugprone-empty-catch): a logger must not harm the call
    }
    telling = false;
  }

  [[nodiscard]] RemoteMetrics metrics() const noexcept {
    RemoteMetrics all;
    for (std::size_t i = 0; i < durations_.size(); ++i) all.calls.buckets[i] = durations_[i];
    all.calls.sum = std::chrono::nanoseconds{sum_};
    all.unavailable = unavailable_;
    all.unknown = unknown_;
    all.unconfirmed = unconfirmed_;
    all.refused = refused_;
    all.retries = retries;
    all.redirections = redirections;
    all.refreshes = refreshes;
    all.log_ins = log_ins;
    all.connections_opened = opened;
    all.connections_failed = failed;
    return all;
  }

 private:
  [[nodiscard]] bool is_first(const std::string& node) noexcept try {
    const std::lock_guard lock{failing_mutex_};
    any_failing_ = true;
    return failing_.insert(node).second;
  } catch (...) { return true; }
  [[nodiscard]] bool forget(const std::string& node) noexcept {
    const std::lock_guard lock{failing_mutex_};
    const bool known = failing_.erase(node) != 0;
    any_failing_ = !failing_.empty();
    return known;
  }

  using Clock = std::chrono::steady_clock;

  struct Timed {
    RemoteObserver& observer;
    Clock::time_point began = Clock::now();

    ~Timed() {
      const std::chrono::nanoseconds took = Clock::now() - began;
      count(observer.durations_[Histogram::bucket_of(took)]);
      observer.sum_.fetch_add(took.count(), std::memory_order_relaxed);
    }
  };

  void note(Counter& counter, const Error& error) const noexcept {
    count(counter);
    log(LogLevel::error, "call failed", {{"error", error.what()}});
  }

  std::mutex failing_mutex_;
  std::set<std::string> failing_;  // the nodes that have failed, and not answered since
  std::atomic<bool> any_failing_ = false;
  const std::string path_;
  const std::function<void(const LogEvent&)> logger_;
  const LogLevel level_;
  Counter unavailable_ = 0;
  Counter unknown_ = 0;
  Counter unconfirmed_ = 0;
  Counter refused_ = 0;
  std::array<Counter, Histogram::kBounds + 1> durations_{};
  std::atomic<std::int64_t> sum_ = 0;  // ns
};

}}}  // namespace kvstore::v1::detail
