// SPDX-License-Identifier: MIT

// A store whose long journal several threads replay: the same entries in the same order as with one thread.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace parallel_replay_test { namespace {

using namespace std::chrono_literals;
using kvstore::JsonJournal;
using support::TempFolder;

template <class Value>
using Store = kvstore::BatchPersistentKeyValueStore<std::string, Value>;

kvstore::Options options(std::size_t threads, bool read_only = false) {
  kvstore::Options result;
  result.batch_size = 0;
  result.auto_save_interval = 0s;
  result.threads = threads;
  result.read_only = read_only;
  return result;
}

std::unique_ptr<JsonJournal> journal(const TempFolder& folder) {
  return std::make_unique<JsonJournal>(folder / "data.json", kvstore::detail::system_file_system(),
                                       kvstore::detail::JournalSpace{.compact_from = 1U << 30});
}

/// How often a thread destroyed a value that was not moved away.
struct Destroyed {
  static inline std::atomic<std::size_t> all = 0;
  static inline std::atomic<std::size_t> made_elsewhere = 0;  // by another thread than the one that made it
  static inline std::atomic<std::size_t> by_helpers =
      0;  // of these, by another thread than the one that opens
  static inline std::atomic<std::thread::id> opener = {};
};

/// A value of the program's own, with a destructor.
class Owned {
 public:
  explicit Owned(std::string text) : text_{std::move(text)}, live_{true} {}
  Owned(const Owned&) = default;
  Owned& operator=(const Owned&) = default;
  Owned(Owned&& other) noexcept
      : text_{std::move(other.text_)}, live_{std::exchange(other.live_, false)}, maker_{other.maker_} {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(text_, other.text_);
    std::swap(live_, other.live_);
    std::swap(maker_, other.maker_);
    return *this;
  }
  ~Owned() {
    const auto me = std::this_thread::get_id();
    if (!live_) return;
    ++Destroyed::all;
    if (me != maker_) ++Destroyed::made_elsewhere;
    if (me != maker_ && me != Destroyed::opener.load()) ++Destroyed::by_helpers;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool live_;
  std::thread::id maker_ = std::this_thread::get_id();
};

/// Fills a store so that its journal is longer than what several threads are worth. Entries are replaced,
/// removed and made again.
void fill(const TempFolder& folder) {
  Store<std::string> store{journal(folder), options(1)};
  const std::string value(200, 'v');
  for (std::size_t i = 0; i < 30'000; ++i) {
    const std::string key = std::to_string(i * 7919 % 9000);
    if (i == 2000) store.clear();
    if (i % 5 == 4)
      static_cast<void>(store.try_remove(key));
    else
      store.upsert(key, value + std::to_string(i));
    if (i % 1000 == 0) store.save();
  }
}

template <class Text>
std::vector<std::pair<std::string, std::string>> entries(const TempFolder& folder, std::size_t threads,
                                                         bool read_only, const Text& text) {
  using Value = std::remove_cvref_t<decltype(text.make())>;
  Store<Value> store{journal(folder), options(threads, read_only)};
  std::vector<std::pair<std::string, std::string>> result;
  store.for_each([&](const std::string& key, const Value& value) { result.emplace_back(key, text(value)); });
  return result;
}

struct OfString {
  static std::string make() { return {}; }
  std::string operator()(const std::string& value) const { return value; }
};
struct OfOwned {
  static Owned make() { return Owned{""}; }
  std::string operator()(const Owned& value) const { return value.text(); }
};

}}  // namespace parallel_replay_test::(anonymous)

template <>
struct kvstore::Codec<parallel_replay_test::Owned> {
  static void encode(const parallel_replay_test::Owned& value, JsonWriter& out) { out.string(value.text()); }
  static parallel_replay_test::Owned decode(JsonReader& in) {
    return parallel_replay_test::Owned{std::string{in.string()}};
  }
};

namespace parallel_replay_test { namespace {

TEST_CASE(
    "Parallel replay: a long journal gives the same entries in the same order with any number of threads") {
  const TempFolder folder;
  fill(folder);
  REQUIRE(std::filesystem::file_size(folder / "data.json.journal") > (5U << 20));
  const auto alone = entries(folder, 1, true, OfString{});
  REQUIRE(alone.size() > 5000);
  for (const std::size_t threads : {2U, 3U, 8U}) {
    CAPTURE(threads);
    CHECK(entries(folder, threads, true, OfString{}) == alone);
    CHECK(entries(folder, threads, false, OfString{}) == alone);
    CHECK(entries(folder, threads, true, OfOwned{}) == alone);
  }
}

TEST_CASE(
    "Parallel replay: a value of the program's own is destroyed by its maker, or by the thread that opens") {
  const TempFolder folder;
  fill(folder);
  Destroyed::opener = std::this_thread::get_id();
  Destroyed::all = Destroyed::made_elsewhere = Destroyed::by_helpers = 0;
  {
    const Store<Owned> store{journal(folder), options(4, true)};
    CHECK(store.size() > 5000);
  }
  CHECK(Destroyed::all > 20'000);
  CHECK(Destroyed::made_elsewhere > 1000);
  CHECK(Destroyed::by_helpers == 0);
}

}}  // namespace parallel_replay_test::(anonymous)
