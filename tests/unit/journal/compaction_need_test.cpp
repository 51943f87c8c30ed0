// SPDX-License-Identifier: MIT

// When a journal is compacted by itself: where that gives back space, or an opening would take long, and
// never while a store is only filled.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace compaction_need_test {

/// A value that only `encode` refuses, if it is negative.
struct Picky {
  int value = 0;
};

}  // namespace compaction_need_test

template <>
struct kvstore::Codec<compaction_need_test::Picky> {
  static void encode(const compaction_need_test::Picky& picky, JsonWriter& out) {
    if (picky.value < 0) throw ValueError{"negative"};
    out.integer(picky.value);
  }
  static compaction_need_test::Picky decode(JsonReader& in) { return {in.integer<int>()}; }
  static void check(const compaction_need_test::Picky& /*picky*/) {}
};

namespace compaction_need_test {

using namespace std::chrono_literals;
using kvstore::Change;
using kvstore::JsonJournal;
using support::TempFolder;

namespace {

/// A journal that is written to as a store does.
class Writing {
 public:
  explicit Writing(const std::filesystem::path& path, const kvstore::detail::JournalSpace& space = {})
      : journal_{path, kvstore::detail::system_file_system(), space} {
    support::load_from(journal_);
  }

  /// @returns whether the journal is to be compacted then, in a store of so many entries
  bool put(std::uint64_t key, const std::string& value, std::uint64_t entries) {
    const std::string text = std::to_string(key);
    const Change change{text, value};
    REQUIRE(journal_.append({&change, 1}));
    journal_.flush();
    if (!journal_.wants_compaction()) return false;
    ++asked;
    return journal_.is_worth_compacting(entries);
  }
  [[nodiscard]] std::uint64_t bytes() const { return journal_.bytes(); }

  int asked = 0;

 private:
  JsonJournal journal_;
};

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
std::string value_of(std::size_t bytes) { return '"' + std::string(bytes, 'x') + '"'; }

}  // namespace

TEST_CASE("Compaction by need: a store that is only filled is compacted for the time of its opening alone") {
  const TempFolder folder;
  Writing journal{folder / "data.json", {.long_from = 8 * kMiB}};
  const std::string value = value_of(10'000);
  std::uint64_t entries = 0;
  while (!journal.put(entries, value, entries + 1)) ++entries;
  CHECK(journal.bytes() > 8 * kMiB);
  CHECK(journal.bytes() < 12 * kMiB);
  CHECK(journal.asked < 10);  // each time it has grown by a quarter or a mebibyte, and not for each line
}

TEST_CASE("Compaction by need: values that were replaced make it worth its bytes from a mebibyte on") {
  const TempFolder folder;
  Writing journal{folder / "data.json"};
  std::uint64_t operations = 0;
  while (!journal.put(operations % 100, value_of(1000), 100)) ++operations;
  CHECK(journal.bytes() > kMiB);
  CHECK(journal.bytes() < kMiB + 2000);
}

TEST_CASE("Compaction by need: beside a snapshot, a third of both has to be out of date") {
  const TempFolder folder;
  constexpr std::uint64_t kEntries = 4000;
  const auto path = folder / "data.json";
  {
    kvstore::BatchPersistentKeyValueStore<std::uint64_t, std::string> store{
        std::make_unique<JsonJournal>(path), {.batch_size = 0, .auto_save_interval = 0s}};
    for (std::uint64_t i = 0; i < kEntries; ++i) store.create(i, std::string(1000, 'x'));
    store.compact();
  }
  Writing journal{path};
  const std::uint64_t base = std::filesystem::file_size(path);
  std::uint64_t updates = 0;
  while (!journal.put(updates % kEntries, value_of(1000), kEntries)) ++updates;
  CHECK(journal.bytes() > base);
  CHECK(journal.bytes() < base + base / 2);
}

TEST_CASE("Compaction by need: a store that was emptied is") {
  const TempFolder folder;
  Writing journal{folder / "data.json"};
  std::uint64_t entries = 0;
  while (journal.bytes() < 2 * kMiB) {
    REQUIRE_FALSE(journal.put(entries, value_of(1000), entries + 1));
    ++entries;
  }
  while (!journal.put(0, "1", 0)) {}
  CHECK(journal.bytes() < 4 * kMiB);
}

namespace {

/// Takes everything, keeps nothing, and always wants a compaction that is not worth it.
class Curious : public kvstore::Storage, public kvstore::Journal {
 public:
  explicit Curious(std::uint64_t& entries) : entries_{entries} {}

  void load(const kvstore::LoadRequest&, kvstore::LoadSink& sink) override { sink.put("old", "0"); }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::changes; }
  void save(kvstore::ChangeSource& source) override { pull(source); }
  [[nodiscard]] Journal* journal() noexcept override { return this; }

  [[nodiscard]] bool append(std::span<const Change>) override { return true; }
  void append_clear() override {}
  void flush() override {}
  void sync() override {}
  [[nodiscard]] std::uint64_t bytes() const noexcept override { return 0; }
  [[nodiscard]] bool wants_compaction() const noexcept override { return true; }
  [[nodiscard]] bool is_worth_compacting(std::uint64_t entries) noexcept override {
    entries_ = entries;
    return false;
  }
  void prepare(bool) override {}
  void rotate() override {}
  void write_base(kvstore::ChangeSource& everything) override { pull(everything); }
  void join() override {}
  void replace_base() override {}
  void abandon() noexcept override {}

 private:
  static void pull(kvstore::ChangeSource& source) {
    for (Change change; source.next(change);) {}
  }

  std::uint64_t& entries_;
};

}  // namespace

TEST_CASE("Compaction by need: the journal hears how many entries there are, whatever was done") {
  std::uint64_t heard = 0;
  kvstore::BatchPersistentKeyValueStore<std::string, int> store{std::make_unique<Curious>(heard),
                                                                {.batch_size = 0, .auto_save_interval = 0s}};
  const auto hears = [&] { return heard == store.size(); };
  store.create("a", 1);
  CHECK(heard == 2);
  store.update("a", 2);
  store.upsert("b", 3);
  CHECK(hears());
  store.remove("old");
  CHECK(hears());
  kvstore::WriteBatch<std::string, int> batch;
  batch.upsert("a", 4);
  batch.upsert("c", 5);
  batch.remove("b");
  batch.upsert("d", 6);
  store.apply(batch);
  CHECK(hears());
  REQUIRE(store.remove_if("c", [](int value) { return value == 5; }));
  CHECK(hears());
  store.compact();
  store.create("e", 7);
  CHECK(hears());
  store.clear();
  CHECK(heard == 0);
  store.upsert("f", 8);
  CHECK(heard == 1);
}

namespace {

/// The same for a store whose keys are numbers.
class CuriousOfNumbers final : public Curious {
 public:
  using Curious::Curious;
  void load(const kvstore::LoadRequest&, kvstore::LoadSink&) override {}
  [[nodiscard]] Journal* journal() noexcept override { return this; }
};

std::vector<std::future<bool>> waiting;  // until the segment is free, where a defect makes them wait for it

}  // namespace

TEST_CASE("Compaction by need: a function that holds a segment may wait for a thread that appends") {
  std::uint64_t heard = 0;
  kvstore::BatchPersistentKeyValueStore<int, int> store{std::make_unique<CuriousOfNumbers>(heard),
                                                        {.batch_size = 0, .auto_save_interval = 0s}};
  for (int key = 0; key < 100; ++key) store.create(key, key);
  int done = 0;
  REQUIRE(store.modify(0, [&](int&) {
    // Keys of many segments: at least most of them are not that of key 0.
    std::vector<std::future<bool>> others;
    for (int key = 1; key < 9; ++key) {
      others.push_back(std::async(std::launch::async, [&store, key] { return store.upsert(key, -key); }));
    }
    for (auto& other : others) done += other.wait_for(5s) == std::future_status::ready ? 1 : 0;
    waiting = std::move(others);
  }));
  CHECK(done >= 7);
  waiting.clear();
}

#ifdef __linux__

namespace {

/// Wants one compaction, and notes the priority at the disk of the thread that writes it.
class Noting final : public Curious {
 public:
  Noting(std::uint64_t& entries, std::atomic<long>& priority) : Curious{entries}, priority_{priority} {}
  [[nodiscard]] Journal* journal() noexcept override { return this; }
  [[nodiscard]] bool is_worth_compacting(std::uint64_t) noexcept override { return priority_ == -1; }
  void write_base(kvstore::ChangeSource& everything) override {
    Curious::write_base(everything);
    priority_ = ::syscall(SYS_ioprio_get, 1, 0);
  }

 private:
  std::atomic<long>& priority_;
};

}  // namespace

TEST_CASE("Compaction by need: the background comes last at the disk") {
  std::uint64_t heard = 0;
  std::atomic<long> priority = -1;
  kvstore::BatchPersistentKeyValueStore<std::string, int> store{std::make_unique<Noting>(heard, priority),
                                                                {.auto_save_interval = 0s}};
  const long own = ::syscall(SYS_ioprio_get, 1, 0);
  store.create("a", 1);
  while (priority == -1) std::this_thread::yield();
  CHECK(priority == (2 << 13 | 7));
  CHECK(::syscall(SYS_ioprio_get, 1, 0) == own);
  store.close();
}

#endif

TEST_CASE("Compaction: operations that could not be recorded do not count as entries") {
  const TempFolder folder;
  using Store = kvstore::BatchPersistentKeyValueStore<int, Picky>;
  Store store{std::make_unique<JsonJournal>(folder / "data.json"), {.batch_size = 100'000}};
  for (int i = 0; i < 100'000; ++i) REQUIRE_THROWS_AS(store.create(i, Picky{-1}), kvstore::ValueError);
  for (int i = 0; i < 70'000; ++i) store.upsert(i % 100, Picky{i});
  store.save();
  for (int i = 0; i < 300 && store.metrics().journal.compactions == 0; ++i) std::this_thread::sleep_for(10ms);
  CHECK(store.metrics().journal.compactions != 0);
}

}  // namespace compaction_need_test
