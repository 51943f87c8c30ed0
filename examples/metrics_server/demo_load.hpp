// SPDX-License-Identifier: MIT
#pragma once

// Something for the charts to show: a few thousand operations a second, more and less of them in waves.

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <kvstore/error.hpp>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "store.hpp"

namespace metrics_server {

/// Works on the entries "demo:0" to "demo:1999", and on none besides.
class DemoLoad {
 public:
  explicit DemoLoad(Store& store) : store_{store} { fill(); }

  /// Apart from the making of the entries, so that they can be counted in between.
  void begin() {
    thread_ = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
  }

 private:
  static constexpr int kDemoEntries = 2000;
  static constexpr std::chrono::milliseconds kStep{20};

  void fill() {
    Store::Batch all;
    for (int number = 0; number < kDemoEntries; ++number) all.upsert(name_of(number), value_of(number));
    attempt([&] { store_.apply(std::move(all)); });
  }

  void run(const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock{mutex};
    const auto start = std::chrono::steady_clock::now();
    for (auto next = start; !stop.stop_requested(); next += kStep) {
      const double at = std::chrono::duration<double>(next - start).count();
      const double rate = 1200 + 900 * std::sin(at / 7) + 300 * std::sin(at * 1.3);  // operations a second
      for (auto left = static_cast<int>(rate * 0.02); left > 0 && !stop.stop_requested(); --left) operate();
      wake_.wait_until(lock, stop, next + kStep, [] { return false; });
    }
  }

  void operate() {
    const int number = roll(kDemoEntries);
    const std::string key = name_of(number);
    const int dice = roll(100);
    attempt([&] {
      if (dice < 65)
        (void)store_.try_read(key);
      else if (dice < 90)
        store_.upsert(key, value_of(number));
      else if (dice < 95)
        store_.try_create(key, value_of(number));
      else
        store_.try_remove(key);
    });
  }

  template <class Do>
  static void attempt(const Do& action) {
    try {
      action();
    } catch (const kvstore::StorageError&) {  // the log tells of it
    }
  }

  [[nodiscard]] static std::string name_of(int number) { return "demo:" + std::to_string(number); }

  [[nodiscard]] ValueText value_of(int number) {
    constexpr const char* kCities[] = {"Oslo", "Łódź", "Kyōto", "Quito", "Perth"};
    const nlohmann::ordered_json value{
        {"city", kCities[number % 5]}, {"visits", roll(1000)}, {"load", roll(1000) / 10.0}};
    return {value.dump()};
  }

  [[nodiscard]] int roll(int sides) { return std::uniform_int_distribution{0, sides - 1}(random_); }

  Store& store_;
  std::mt19937 random_{42};  // NOLINT(bugprone-random-generator-seed): the same load each time
  std::condition_variable_any wake_;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace metrics_server
