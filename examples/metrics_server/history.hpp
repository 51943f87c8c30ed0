// SPDX-License-Identifier: MIT
#pragma once

// What happened in each of the last seconds, so that a page has something to show when it opens.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <kvstore/metrics.hpp>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>

#include "store.hpp"

namespace metrics_server {

/// Between one look at the store and the next.
struct Sample {
  std::uint64_t number = 0;  ///< 1, 2, 3 …
  double reads = 0;          ///< a second
  double writes = 0;         ///< a second
  double refused = 0;        ///< a second: missing or existing keys; and what failed
  std::uint64_t saves = 0;
  std::uint64_t failed_saves = 0;
  double save_seconds = 0;  ///< of a save, on average
  std::uint64_t unsaved = 0;
};

class History {
  using Clock = std::chrono::steady_clock;

 public:
  static constexpr std::size_t kSamples = 180;
  static constexpr std::chrono::seconds kInterval{1};

  explicit History(const Store& store)
      : store_{store}, thread_{[this](const std::stop_token& stop) { run(stop); }} {}

  /// Tells this run of the program from others, whose numbers began at 1 too.
  [[nodiscard]] std::int64_t started() const noexcept { return started_; }

  /// Those after number `after`, as the page wants them.
  [[nodiscard]] nlohmann::ordered_json after(std::uint64_t number) const {
    auto out = nlohmann::ordered_json::array();
    const std::scoped_lock lock{mutex_};
    for (const Sample& sample : samples_) {
      if (sample.number <= number) continue;
      out.push_back({{"number", sample.number},
                     {"reads", sample.reads},
                     {"writes", sample.writes},
                     {"refused", sample.refused},
                     {"saves", sample.saves},
                     {"failed_saves", sample.failed_saves},
                     {"save_seconds", sample.save_seconds},
                     {"unsaved", sample.unsaved}});
    }
    return out;
  }

 private:
  struct Look {
    Clock::time_point when;
    kvstore::Metrics metrics;
  };

  void run(const std::stop_token& stop) {
    Look before{Clock::now(), store_.metrics()};
    std::unique_lock lock{mutex_};
    for (auto next = before.when + kInterval; !stop.stop_requested(); next += kInterval) {
      wake_.wait_until(lock, stop, next, [] { return false; });
      if (stop.stop_requested()) return;
      lock.unlock();
      Look now{Clock::now(), store_.metrics()};
      Sample sample = between(before, now);
      lock.lock();
      sample.number = ++count_;
      samples_.push_back(sample);
      if (samples_.size() > kSamples) samples_.pop_front();
      before = now;
    }
  }

  [[nodiscard]] static Sample between(const Look& before, const Look& now) {
    using kvstore::Verb;
    const double seconds = std::chrono::duration<double>(now.when - before.when).count();
    const auto rate = [&](std::initializer_list<Verb> verbs) {
      std::uint64_t count = 0;
      for (const Verb verb : verbs) count += now.metrics.of(verb).done - before.metrics.of(verb).done;
      return static_cast<double>(count) / seconds;
    };
    std::uint64_t refused = 0;
    for (std::size_t i = 0; i < kvstore::kVerbCount; ++i) {
      const auto &last = now.metrics.operations[i], &first = before.metrics.operations[i];
      refused += last.refused + last.failed - first.refused - first.failed;
    }
    Sample sample{.reads = rate({Verb::read, Verb::visit, Verb::contains}),
                  .writes = rate({Verb::create, Verb::update, Verb::upsert, Verb::remove, Verb::modify,
                                  Verb::compare_exchange, Verb::apply, Verb::clear}),
                  .refused = static_cast<double>(refused) / seconds,
                  .unsaved = now.metrics.unsaved};
    add_saves(sample, before.metrics.saves, now.metrics.saves);
    return sample;
  }

  static void add_saves(Sample& sample, const kvstore::SaveMetrics& before, const kvstore::SaveMetrics& now) {
    sample.saves = now.succeeded - before.succeeded;
    sample.failed_saves = now.failed - before.failed;
    const std::uint64_t count = now.durations.count() - before.durations.count();
    const std::chrono::duration<double> sum = now.durations.sum - before.durations.sum;
    if (count != 0) sample.save_seconds = sum.count() / static_cast<double>(count);
  }

  const Store& store_;
  const std::int64_t started_ = std::chrono::system_clock::now().time_since_epoch().count();
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Sample> samples_;
  std::uint64_t count_ = 0;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace metrics_server
