// SPDX-License-Identifier: MIT

// Operations that come between any two steps of a compaction, one of them with its line not yet in the
// journal: the new base file must not go beyond the journal, whose older lines a reader would apply to newer
// values.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/base/waiting.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/log.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "kvstore/write_batch.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/simulated_disk.hpp"

namespace compaction_gap_test {

/// Calls `hook` when the thread that has set it takes a store's mutex for the `countdown`th time.
struct HookedLock {
  static inline constinit thread_local const std::function<void()>* hook = nullptr;
  static inline constinit thread_local int countdown = 0;

  void lock() {
    if (hook != nullptr && --countdown == 0) (*hook)();
    mutex.lock();
  }
  bool try_lock() { return mutex.try_lock(); }
  void unlock() { mutex.unlock(); }

  std::mutex mutex;
};

struct OwnMutex : std::shared_mutex {};

}  // namespace compaction_gap_test

namespace kvstore { inline namespace v1 { namespace detail {

template <>
struct Waiting<compaction_gap_test::OwnMutex> {
  struct Means {
    using Lock = compaction_gap_test::HookedLock;
    using Condition = std::condition_variable_any;
    using Thread = std::jthread;
    using Clock = std::chrono::steady_clock;
  };
};

}}}  // namespace kvstore::v1::detail

namespace compaction_gap_test {

using support::Call;
using support::FaultFileSystem;
using support::SimulatedDisk;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
                                                    std::equal_to<>, OwnMutex>;
using State = std::map<std::string, int>;

namespace {

constexpr std::string_view kPath = "/sim/data.json";

/// A store that two operations use while it is compacted: the second, a batch, is applied, and its thread is
/// held in the logger before it passes its line on.
class Scene {
 public:
  /// They come when the compaction takes the store's mutex for the `moment`th time. `fails`: the next write
  /// to the new journal fails.
  explicit Scene(int moment, bool fails = false) {
    if (fails)
      files_.before_each([this](Call call, const std::filesystem::path& path) { disturb(call, path); });
    store_.upsert("a", 0);
    store_.upsert("b", 0);
    const std::function<void()> come = [this] {
      other_ = std::jthread{[this] { change(); }};
      // Where the compaction has what they wait for, they come later.
      for (int i = 0; i < 1000 && !held_; ++i) std::this_thread::sleep_for(std::chrono::milliseconds{1});
      met_ = held_;
    };
    HookedLock::countdown = moment;
    HookedLock::hook = &come;
    store_.compact();
    HookedLock::hook = nullptr;
    over_ = HookedLock::countdown > 0;
    const auto left = disk_.after_kill();
    left_ = support::contents_of(Store{std::make_unique<kvstore::JsonJournal>(kPath, *left)});
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() = default;

  [[nodiscard]] const State& left() const noexcept { return left_; }
  [[nodiscard]] bool met() const noexcept { return met_; }
  [[nodiscard]] bool failed() const { return files_.failed() != 0; }
  /// Whether the compaction had no such moment.
  [[nodiscard]] bool is_over() const noexcept { return over_; }

 private:
  struct Release {
    std::atomic<bool>& released;
    ~Release() {
      HookedLock::hook = nullptr;
      released = true;
    }
  };

  void change() {
    store_.upsert("a", 1);
    holds_ = true;
    kvstore::WriteBatch<std::string, int> batch;
    batch.upsert("a", 2).upsert("b", 2);
    store_.apply(batch);
  }
  void disturb(Call call, const std::filesystem::path& path) {
    if (call != Call::write || path.extension() != ".next" || files_.failed() != 0) return;
    if (!held_)
      rotated_ = true;  // the first operation's line is there
    else if (rotated_)
      files_.inject({.error = std::make_error_code(std::errc::io_error), .call = Call::write});
  }
  void hold() {
    if (!holds_) return;
    held_ = true;
    while (!released_) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }

  SimulatedDisk disk_;
  FaultFileSystem files_{disk_};
  std::atomic<bool> holds_ = false, held_ = false, released_ = false;
  std::atomic<bool> rotated_ = false;
  bool met_ = false;
  bool over_ = false;
  State left_;
  Store store_{std::make_unique<kvstore::JsonJournal>(kPath, files_),
               {.batch_size = 0,
                .auto_save_interval = std::chrono::milliseconds{0},
                .logger =
                    [this](const kvstore::LogEvent& event) {
                      if (event.event == "changed") hold();
                    },
                .log_level = kvstore::LogLevel::debug}};
  std::jthread other_;
  const Release release_{released_};  // last, so that `other_` ends, even where the constructor throws
};

}  // namespace

TEST_CASE("Compaction: what is killed behind it leaves a batch whole, whenever its line was late") {
  int met = 0;
  int moment = 1;
  for (;; ++moment) {
    const Scene scene{moment};
    if (scene.is_over()) break;
    INFO("the mutex taken for the time " << moment);
    met += scene.met() ? 1 : 0;
    const State none{{"a", 0}, {"b", 0}};
    const State first{{"a", 1}, {"b", 0}};
    const State both{{"a", 2}, {"b", 2}};
    const State& left = scene.left();
    CAPTURE(left.at("a"), left.at("b"));
    CHECK((left == none || left == first || left == both));
  }
  CHECK(moment > 8);
  CHECK(met >= 6);
}

TEST_CASE("Compaction: what another thread's line meets at its end fails nobody, and it starts over") {
  int failed = 0;
  for (int moment = 1;; ++moment) {
    INFO("the mutex taken for the time " << moment);
    const Scene scene{moment, true};
    if (scene.is_over()) break;
    if (!scene.failed()) continue;
    ++failed;
    CHECK(scene.left() == State{{"a", 2}, {"b", 2}});
  }
  CHECK(failed >= 2);
}

}  // namespace compaction_gap_test
