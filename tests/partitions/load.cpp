// SPDX-License-Identifier: MIT

// A client under whose feet the network is cut: writes for a while, says what became of each write, and how
// long calls took. Used by `run` beside it.
//
//   load redis|etcd NODE,NODE... SECONDS REPLICAS
//
// Prints one line of figures (`report` names them), and then one for each broken promise. Ends with 1 if
// there is any.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/error.hpp"
#include "kvstore/etcd_key_value_store.hpp"
#include "kvstore/redis_cluster_key_value_store.hpp"
#include "support/map_calls.hpp"
#include "support/map_history.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using RedisStore = kvstore::RedisClusterKeyValueStore<int, int>;
using EtcdStore = kvstore::EtcdKeyValueStore<int, int>;

constexpr std::chrono::milliseconds kTimeout = 4s;
constexpr int kThreads = 4;
constexpr int kStride = 10'000'000;  // of one thread's keys

template <class Store>
constexpr bool is_redis = std::is_same_v<Store, RedisStore>;

/// Options of a store. All keys of Redis are in one slot, so that its leader has them all.
template <class Store>
auto options_for(std::vector<std::string> nodes, const std::string& name, std::size_t replicas) {
  if constexpr (is_redis<Store>) {
    return kvstore::RedisClusterOptions{.seeds = std::move(nodes),
                                        .key_prefix = "{load}:" + name + ':',
                                        .replicas = replicas,
                                        .replication_timeout = 1s,
                                        .timeout = kTimeout,
                                        .connect_timeout = 500ms,
                                        .response_timeout = 1s};
  } else {
    (void)replicas;
    kvstore::EtcdOptions options;
    options.endpoints = std::move(nodes);
    options.key_prefix = "load/" + name + '/';
    options.timeout = kTimeout;
    options.connect_timeout = 500ms;
    options.response_timeout = 1s;
    return options;
  }
}

/// What all threads note of their calls.
class Times {
 public:
  template <class Call>
  auto measure(const char* verb, const Call& call) {
    const Clock::time_point began = Clock::now();
    struct Noted {
      Times& times;
      const char* verb;
      Clock::time_point began;
      ~Noted() { times.note(verb, Clock::now() - began); }
    } const noted{*this, verb, began};
    return call();
  }
  void written() {
    const std::lock_guard lock{mutex_};
    const Clock::time_point now = Clock::now();
    pause_ = std::max(pause_, now - last_);
    last_ = now;
  }
  [[nodiscard]] double longest_pause() const { return seconds(pause_); }
  [[nodiscard]] std::string slowest() const { return slowest_; }
  [[nodiscard]] double overshoot() const {
    return seconds(std::max(Clock::duration{0}, longest_ - kTimeout));
  }

 private:
  static double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }
  void note(const char* verb, Clock::duration took) {
    const std::lock_guard lock{mutex_};
    if (took <= longest_) return;
    longest_ = took;
    slowest_ = verb;
  }

  std::mutex mutex_;
  Clock::time_point last_ = Clock::now();
  Clock::duration pause_{};    // between two writes that were carried out, of any thread
  Clock::duration longest_{};  // call
  const char* slowest_ = "";   // that call
};

/// `unconfirmed`: carried out, but not on as many replicas as wanted.
enum class Fate : std::uint8_t { acknowledged, unconfirmed, unknown, refused };
using Fates = std::map<int, Fate>;

template <class Store>
class Load {
 public:
  Load(std::vector<std::string> nodes, std::size_t replicas)
      : nodes_{std::move(nodes)}, replicas_{replicas} {}

  /// @returns whether each promise was kept
  bool run(std::chrono::seconds time) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([this, i] { guarded([&] { write(i); }); });
    threads.emplace_back([this] { guarded([this] { read(); }); });
    if constexpr (!is_redis<Store>) {
      threads.emplace_back([this] { guarded([this] { check_histories(); }); });
      threads.emplace_back([this] { guarded([this] { follow(); }); });
    }
    std::this_thread::sleep_for(time);
    enough_ = true;
    while (written_ != kThreads) std::this_thread::sleep_for(10ms);
    compare();
    compared_ = true;
    for (std::thread& thread : threads) thread.join();
    report();
    return broken_.empty();
  }

 private:
  template <class Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (const std::exception& error) {
      breaks(std::string{"a call threw what it must not: "} + error.what());
    }
  }
  void breaks(const std::string& promise) {
    constexpr std::size_t kShown = 10;
    const std::lock_guard lock{mutex_};
    if (broken_.size() < kShown) broken_.push_back(promise);
  }

  /// A new store; tries until it can be made. Null if the time is up before.
  [[nodiscard]] std::unique_ptr<Store> open(const std::string& name) {
    std::unique_ptr<Store> store;
    while (!enough_) {
      try {
        times_.measure("the constructor", [&] {
          store = std::make_unique<Store>(options_for<Store>(nodes_, name + run_, replicas_));
        });
        break;
      } catch (const kvstore::UnavailableError&) {}
    }
    return store;
  }

  void write(int thread) {
    const std::unique_ptr<Store> store = open("keys");
    Fates fates;
    for (int key = thread * kStride; !enough_ && store; ++key) {
      fates[key] = write(*store, key);
      if (fates[key] <= Fate::unconfirmed) times_.written();
    }
    const std::lock_guard lock{mutex_};
    fates_.merge(fates);
    ++written_;
  }
  [[nodiscard]] Fate write(Store& store, int key) {
    try {
      if (!times_.measure("create", [&] { return store.try_create(key, key); })) {
        breaks("a write was carried out, and then tried again: key " + std::to_string(key));
      }
      return Fate::acknowledged;
    } catch (const kvstore::UnavailableError&) {
      return Fate::refused;
    } catch (const kvstore::OutcomeUnknownError&) {
      return Fate::unknown;
    } catch (const kvstore::ReplicationError&) { return Fate::unconfirmed; }
  }

  /// Calls that scan and read, for their times.
  void read() {
    const std::unique_ptr<Store> store = open("others");
    while (!enough_ && store) {
      try {
        times_.measure("read", [&] { (void)store->try_read(1); });
        if (is_redis<Store>) {  // each page of a scan has the timeout
          (void)store->size();
        } else {
          times_.measure("size", [&] { (void)store->size(); });
        }
      } catch (const kvstore::UnavailableError&) {}
      std::this_thread::sleep_for(50ms);
    }
  }

  void check_histories() {
    std::deque<Store> stores;
    std::deque<support::MapCaller<Store>> callers;
    for (unsigned i = 0; i < 3; ++i) {
      std::vector<std::string> nodes = nodes_;
      std::ranges::rotate(nodes, nodes.begin() + static_cast<std::ptrdiff_t>(i % nodes.size()));
      while (!enough_ && stores.size() == i) {
        try {
          stores.emplace_back(options_for<Store>(nodes, "history" + run_, replicas_));
        } catch (const kvstore::UnavailableError&) {}
      }
      if (stores.size() == i) return;
      callers.emplace_back(stores.back(), std::random_device{}());
    }
    for (int round = 0; !enough_; ++round) {
      const support::MaybeHistory history = support::burst(callers, round, [] {});
      if (!support::is_linearizable(history, support::MapState{})) {
        breaks("no order explains these calls:\n" + support::to_text(history));
      }
      ++histories_;
    }
  }

  /// Watches what is written, and compares that with what is there.
  void follow() {
    const std::unique_ptr<Store> store = open("keys");
    if (!store) return;
    std::mutex mutex;
    std::map<int, int> events;  // of each key
    const auto watch = store->watch(
        [&](int key, const std::optional<int>&, std::int64_t) {
          const std::lock_guard lock{mutex};
          ++events[key];
        },
        [this](const std::exception& error) { breaks(std::string{"the watch has ended: "} + error.what()); },
        1);
    while (!compared_) std::this_thread::sleep_for(10ms);
    const auto is_complete = [&] {
      const std::lock_guard lock{mutex};
      return std::ranges::all_of(found_, [&](const auto& entry) { return events.contains(entry.first); });
    };
    for (const Clock::time_point until = Clock::now() + 20s; !is_complete();
         std::this_thread::sleep_for(10ms)) {
      if (Clock::now() > until) return breaks("the watch has missed changes");
    }
    const std::lock_guard lock{mutex};
    if (std::ranges::any_of(events, [](const auto& event) { return event.second != 1; }))
      breaks("the watch has told of a change twice");
  }

  /// Compares what was said with what is there, once the servers can be read again.
  void compare() {
    for (const Clock::time_point until = Clock::now() + 60s;;) {
      try {
        found_.clear();
        Store store{options_for<Store>(nodes_, "keys" + run_, replicas_)};
        store.for_each([&](int key, int value) { found_[key] = value; });
        break;
      } catch (const kvstore::Error& error) {
        if (Clock::now() > until)
          return breaks(std::string{"a minute later nothing can be read: "} + error.what());
      }
    }
    for (const auto& [key, fate] : fates_) {
      ++said_[fate];
      const bool is_there = found_.contains(key);
      there_[fate] += is_there ? 1 : 0;
      if (is_there && found_[key] != key) breaks("key " + std::to_string(key) + " has a wrong value");
    }
    if (there_[Fate::acknowledged] != said_[Fate::acknowledged]) breaks("acknowledged writes are lost");
    if (there_[Fate::refused] != 0) breaks("refused writes are there");
    if (times_.overshoot() > 0.5)
      breaks(times_.slowest() + " lasted longer than half a second beyond its timeout");
  }

  void report() {
    const auto lost = [this](Fate fate) { return said_[fate] - there_[fate]; };
    std::cout << said_[Fate::acknowledged] << ' ' << lost(Fate::acknowledged) << ' '
              << said_[Fate::unconfirmed] << ' ' << lost(Fate::unconfirmed) << ' ' << said_[Fate::unknown]
              << ' ' << there_[Fate::unknown] << ' ' << said_[Fate::refused] << ' ' << there_[Fate::refused]
              << ' ' << times_.longest_pause() << ' ' << times_.overshoot() << ' ' << histories_ << '\n';
    for (const std::string& promise : broken_) std::cout << promise << '\n';
  }

  const std::vector<std::string> nodes_;
  const std::size_t replicas_;
  const std::string run_ = std::to_string(std::random_device{}());  // the servers have the keys of other runs
  std::atomic<bool> enough_ = false;
  std::atomic<int> written_ = 0;  // threads that have ended
  std::atomic<bool> compared_ = false;
  Times times_;
  int histories_ = 0;
  std::map<int, int> found_;  // until `compared_`, of one thread
  std::map<Fate, std::size_t> said_;
  std::map<Fate, std::size_t> there_;
  std::mutex mutex_;
  Fates fates_;  // guarded by mutex_ while threads run, and the next one, too
  std::vector<std::string> broken_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: load redis|etcd NODE,NODE... SECONDS REPLICAS\n";
    return 2;
  }
  std::vector<std::string> nodes;
  std::istringstream list{argv[2]};
  for (std::string node; std::getline(list, node, ',');) nodes.push_back(node);
  const std::chrono::seconds time{std::atoi(argv[3])};
  const auto replicas = static_cast<std::size_t>(std::atoi(argv[4]));
  const bool kept = std::string{argv[1]} == "redis" ? Load<RedisStore>{nodes, replicas}.run(time)
                                                    : Load<EtcdStore>{nodes, replicas}.run(time);
  return kept ? 0 : 1;
}
