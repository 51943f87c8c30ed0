// SPDX-License-Identifier: MIT

// Readers who come without a segment's lock, and the writers who wait for them.

#include "kvstore/detail/base/reader_slots.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/base/per_thread.hpp"
#include "kvstore/detail/segment/guards.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace reader_slots_test { namespace {

using kvstore::detail::ReaderBias;
using kvstore::detail::ReaderSlot;
using kvstore::detail::ReaderSlots;

/// Segments and what there is for each thread that reads them.
template <class Mutex>
struct Segments : kvstore::detail::Segments<int, int, Mutex> {
  using Base = kvstore::detail::Segments<int, int, Mutex>;

  struct Reading : Base::Reading {
    Reading(const Segments& segments, std::size_t index)
        : Base::Reading{segments, index, segments.threads.local()} {}
  };

  mutable kvstore::detail::PerThread<ReaderSlot> threads;
};

template <class Mutex>
void open(const Segments<Mutex>& segments, std::size_t index) {
  for (std::uint32_t i = 0; i < ReaderBias::kMinReads; ++i) {
    const typename Segments<Mutex>::Reading reading{segments, index};
  }
  REQUIRE(segments[index].bias.is_open(std::memory_order_seq_cst));
}

/// Long enough for a thread that does not wait to get where it must not be.
void give_a_moment() { std::this_thread::sleep_for(std::chrono::milliseconds{20}); }

TEST_CASE("ReaderBias: a segment opens after so many reads, and closes at a write") {
  constexpr std::uint32_t kMany = 3 * ReaderBias::kMinReads;
  ReaderBias bias;
  const auto opens_after = [&](std::uint32_t reads) {
    for (std::uint32_t i = 1; i < reads; ++i) bias.note_read();
    if (bias.is_open(std::memory_order_seq_cst)) return false;
    bias.note_read();
    return bias.is_open(std::memory_order_seq_cst);
  };
  CHECK_FALSE(bias.close(0));
  for (std::uint32_t i = 1; i < ReaderBias::kMinReads; ++i) bias.note_read();
  CHECK_FALSE(bias.close(0));
  CHECK(opens_after(ReaderBias::kMinReads));
  bias.note_read();
  CHECK(bias.is_open(std::memory_order_seq_cst));
  CHECK(bias.close(kMany));
  CHECK_FALSE(bias.is_open(std::memory_order_seq_cst));
  CHECK(opens_after(kMany));
}

TEST_CASE("ReaderSlots: who is in one segment cannot announce another") {
  ReaderBias bias;
  ReaderSlot slot;
  ReaderSlots slots;
  CHECK_FALSE(slots.enter(slot, bias, 0));
  CHECK(slots.count() == 0);
  for (std::uint32_t i = 0; i < ReaderBias::kMinReads; ++i) bias.note_read();
  REQUIRE(slots.enter(slot, bias, 0));
  CHECK(slots.count() == 1);
  CHECK_FALSE(slots.enter(slot, bias, 1));
  CHECK(slots.is_anyone_in(0));
  CHECK_FALSE(slots.is_anyone_in(1));
  slot.leave();
  CHECK_FALSE(slots.is_anyone_in(0));
  REQUIRE(slots.enter(slot, bias, 1));
  CHECK(slots.is_anyone_in(1));
  slot.leave();
  CHECK(slots.count() == 1);
}

TEST_CASE("ReaderSlots: of a group those that are open are announced and entered, and no others") {
  std::array<ReaderBias, 4> biases;
  ReaderSlot slot;
  ReaderSlots slots;
  const std::array<std::size_t, 4> group{3, 70, 200, 255};
  const auto bias_of = [&](std::size_t i) -> const ReaderBias& { return biases[i]; };
  CHECK(slots.enter(slot, group, bias_of) == 0);
  CHECK(slots.count() == 0);
  for (const std::size_t i : {1U, 3U}) {
    for (std::uint32_t read = 0; read < ReaderBias::kMinReads; ++read) biases[i].note_read();
  }
  REQUIRE(slots.enter(slot, group, bias_of) == 0b1010);
  CHECK(slots.count() == 1);
  for (std::size_t segment = 0; segment < 256; ++segment) {
    CHECK(slots.is_anyone_in(segment) == (segment == 70 || segment == 255));
  }
  CHECK_FALSE(slots.is_anyone_in(256 + 70));
  CHECK_FALSE(slots.enter(slot, biases[1], 70));
  CHECK(slots.enter(slot, group, bias_of) == 0);
  slot.leave();
  for (const std::size_t segment : group) CHECK_FALSE(slots.is_anyone_in(segment));
  REQUIRE(slots.enter(slot, biases[1], 70));
  CHECK(slots.enter(slot, group, bias_of) == 0);
  CHECK_FALSE(slots.is_anyone_in(3));  // the group before is forgotten
  slot.leave();
}

TEST_CASE("ReaderSlots: the segments of a group are told apart, all 65536 of them") {
  std::mt19937 random{7};
  const auto any = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
  for (int round = 0; round < 2000; ++round) {
    const std::size_t count = 1 + any(16);
    std::vector<std::size_t> group(count);
    for (std::size_t& segment : group) segment = any(round % 2 == 0 ? 65536 : 20);
    const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << count) - 1);
    const std::uint32_t wanted =
        round % 3 == 0 ? all : 1U << any(count) | (static_cast<std::uint32_t>(random()) & all);
    ReaderSlot slot;
    slot.announce(group, wanted);
    std::set<std::size_t> announced;
    for (std::size_t i = 0; i < count; ++i) {
      if ((wanted >> i & 1U) != 0) announced.insert(group[i]);
    }
    for (const std::size_t segment : group) {
      for (const std::size_t asked : {segment, segment ^ 1U, segment ^ 256U, segment ^ 32768U}) {
        REQUIRE(slot.is_in(asked) == announced.contains(asked));
      }
    }
    for (const std::size_t asked : {0U, 1U, 255U, 65535U})
      REQUIRE(slot.is_in(asked) == announced.contains(asked));
  }
}

TEST_CASE("ReaderSlots: a writer waits for each thread once, however often the thread comes back") {
  std::array<ReaderBias, 2> biases;
  const std::array<std::size_t, 2> group{0, 1};
  const auto bias_of = [&](std::size_t i) -> const ReaderBias& { return biases[i]; };
  for (ReaderBias& bias : biases) {
    for (std::uint32_t read = 0; read < ReaderBias::kMinReads; ++read) bias.note_read();
  }
  std::array<ReaderSlot, 4> slots;  // of four threads, one of which stays inside while another leaves
  ReaderSlots all;
  for (ReaderSlot& slot : slots) REQUIRE(all.enter(slot, group, bias_of) == 0b11);
  REQUIRE(biases[0].close(0));
  std::atomic<bool> through = false;
  const std::jthread writer{[&] {
    all.wait_until_left(0);
    through = true;
  }};
  int rounds = 0;
  for (; !through && rounds < 200'000; ++rounds) {
    ReaderSlot& slot = slots[static_cast<std::size_t>(rounds % 4)];
    slot.leave();
    REQUIRE(all.enter(slot, group, bias_of) == 0b10);
    if (rounds % 16 == 0) std::this_thread::yield();
  }
  CHECK(through);
  for (ReaderSlot& slot : slots) slot.leave();
}

/// The first key of a segment, of a power of two of them.
int key_in(std::size_t segment, std::size_t segments) {
  int key = 0;
  while ((kvstore::Hash<int>{}(key) >> 16 & (segments - 1)) != segment) ++key;
  return key;
}

TEST_CASE("Store: readers of many keys keep no writer of a segment out that they do not read") {
  constexpr std::size_t kSegments = 512;
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}, .segments = kSegments}};
  const int read = key_in(3 + 256, kSegments);
  const int written = key_in(3, kSegments);
  for (const int key : {read, written}) {
    store.create(key, 0);
    for (int i = 0; i < 10; ++i) REQUIRE(store.read(key) == 0);
  }
  std::atomic<bool> through = false;
  std::optional<std::jthread> writer;
  store.visit_many({read}, [&](std::size_t, int) {
    writer.emplace([&] {
      store.upsert(written, 1);
      through = true;
    });
    for (int round = 0; !through && round < 500'000; ++round) std::this_thread::yield();
    CHECK(through);
  });
}

TEMPLATE_TEST_CASE("Segments: a writer waits for readers of groups who came without the lock", "",
                   std::shared_mutex, kvstore::SpinSharedMutex) {
  Segments<TestType> segments;
  segments.resize(4);
  for (const std::size_t index : {0U, 1U, 3U}) open(segments, index);
  const std::array<std::size_t, 4> group{1, 2, 3, 1};
  std::atomic<bool> inside = false;
  std::optional<std::jthread> writer;
  int calls = 0;
  const std::uint32_t seen = segments.read_group(group, segments.threads.local(), [&](std::uint32_t which) {
    ++calls;
    CHECK(which == 0b1111);
    for (const std::size_t index : {1U, 3U}) {
      REQUIRE(segments[index].mutex.try_lock());  // free: the reader is there without it
      segments[index].mutex.unlock();
    }
    CHECK_FALSE(segments[2].mutex.try_lock());
    { const auto other = segments.lock(0); }
    CHECK(segments.waits().histogram().count() == 0);
    writer.emplace([&] {
      const auto lock = segments.lock(3);
      inside = true;
    });
    while (segments[3].bias.is_open(std::memory_order_seq_cst)) std::this_thread::yield();
    give_a_moment();
    CHECK_FALSE(inside);
    return which;
  });
  writer.reset();
  CHECK(inside);
  CHECK(calls == 1);
  CHECK(seen == 0b1111);
}

TEST_CASE("Segments: reading groups opens segments, and leaves them when the function throws") {
  Segments<std::shared_mutex> segments;
  segments.resize(3);
  const std::array<std::size_t, 2> group{0, 2};
  const auto read = [&] {
    return segments.read_group(group, segments.threads.local(), [](std::uint32_t which) { return which; });
  };
  for (std::uint32_t i = 0; i < ReaderBias::kMinReads; ++i) CHECK(read() == 0b11);
  CHECK(segments[0].bias.is_open(std::memory_order_seq_cst));
  CHECK_FALSE(segments[1].bias.is_open(std::memory_order_seq_cst));
  CHECK(segments[2].bias.is_open(std::memory_order_seq_cst));
  const auto fail = [](std::uint32_t) -> std::uint32_t { throw std::runtime_error{"no"}; };
  CHECK_THROWS_AS(segments.read_group(group, segments.threads.local(), fail), std::runtime_error);
  const auto locks = segments.lock_all();  // waits for nobody
  CHECK(segments.waits().histogram().count() == 0);
}

TEMPLATE_TEST_CASE("Segments: a writer waits for the readers who came without the lock, of its segment only",
                   "", std::shared_mutex, kvstore::SpinSharedMutex) {
  Segments<TestType> segments;
  segments.resize(2);
  open(segments, 0);
  open(segments, 1);
  std::atomic<bool> inside = false;
  std::optional<typename Segments<TestType>::Reading> reading{std::in_place, segments, std::size_t{0}};
  REQUIRE(segments[0].mutex.try_lock());  // free: the reader is where it is without it
  segments[0].mutex.unlock();
  { const auto other = segments.lock(1); }
  CHECK(segments.waits().histogram().count() == 0);
  std::jthread writer{[&] {
    const auto lock = segments.lock(0);
    inside = true;
  }};
  while (segments[0].bias.is_open(std::memory_order_seq_cst)) std::this_thread::yield();
  give_a_moment();
  CHECK_FALSE(inside);
  reading.reset();
  writer.join();
  CHECK(inside);
}

TEST_CASE("Segments: a batch waits for the readers of each of its segments") {
  Segments<std::shared_mutex> segments;
  segments.resize(3);
  for (const std::size_t index : {0U, 1U, 2U}) open(segments, index);
  const auto waits = [&](const auto& lock) {
    std::atomic<bool> inside = false;
    std::optional<Segments<std::shared_mutex>::Reading> reading{std::in_place, segments, std::size_t{2}};
    std::jthread writer{[&] {
      const auto locks = lock();
      inside = true;
    }};
    while (segments[2].bias.is_open(std::memory_order_seq_cst)) std::this_thread::yield();
    give_a_moment();
    const bool waited = !inside;
    reading.reset();
    return waited;
  };
  CHECK(waits([&] { return segments.lock_all(); }));
  open(segments, 2);
  CHECK(waits([&] { return segments.lock_each(std::array<std::size_t, 2>{0, 2}); }));
}

TEST_CASE("Segments: a thread reads one segment inside another") {
  Segments<std::shared_mutex> segments;
  segments.resize(2);
  open(segments, 0);
  open(segments, 1);
  const Segments<std::shared_mutex>::Reading outer{segments, 0};
  {
    const Segments<std::shared_mutex>::Reading inner{segments, 1};
    CHECK_FALSE(segments[1].mutex.try_lock());
  }
  REQUIRE(segments[1].mutex.try_lock());
  segments[1].mutex.unlock();
  REQUIRE(segments[0].mutex.try_lock());  // still by the slot
  segments[0].mutex.unlock();
}

TEMPLATE_TEST_CASE("Segments: readers in bursts see whole writes only", "", std::shared_mutex,
                   kvstore::SpinSharedMutex) {
  struct {
    int one = 0;
    int other = 0;
  } pair;
  Segments<TestType> segments;
  segments.resize(1);
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0;
  std::atomic<std::uint64_t> reads_while_open = 0;
  {
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 3; ++reader) {
      readers.emplace_back([&] {
        while (!done) {
          for (int i = 0; i < 50; ++i) {
            const typename Segments<TestType>::Reading reading{segments, 0};
            if (pair.one != pair.other) ++torn;
            reads_while_open += segments[0].bias.is_open(std::memory_order_relaxed) ? 1 : 0;
          }
          std::this_thread::yield();
        }
      });
    }
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t seen = reads_while_open;
      while (reads_while_open == seen) std::this_thread::yield();
      const auto lock = segments.lock(0);
      ++pair.one;
      std::this_thread::yield();
      ++pair.other;
    }
    done = true;
  }
  CHECK(torn == 0);
  CHECK(pair.other == 2000);
}

TEMPLATE_TEST_CASE("Segments: readers of groups see whole writes only", "", std::shared_mutex,
                   kvstore::SpinSharedMutex) {
  struct Pair {
    int one = 0;
    int other = 0;
  };
  std::array<Pair, 4> pairs;
  Segments<TestType> segments;
  segments.resize(pairs.size());
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0;
  std::atomic<std::uint64_t> rounds = 0;
  {
    std::vector<std::jthread> readers;
    for (std::size_t reader = 0; reader < 3; ++reader) {
      readers.emplace_back([&, reader] {
        // The groups of a thread take turns, so that one is announced over the other.
        const std::array<std::array<std::size_t, 2>, 2> groups{{{reader, 3}, {0, reader}}};
        for (std::size_t turn = 0; !done; turn = 1 - turn) {
          for (int i = 0; i < 50; ++i) {
            const auto see = [&](std::uint32_t which) {
              for (std::size_t k = 0; k < 2; ++k) {
                const Pair& pair = pairs[groups[turn][k]];
                if ((which >> k & 1U) != 0 && pair.one != pair.other) ++torn;
              }
              return which;
            };
            static_cast<void>(segments.read_group(groups[turn], segments.threads.local(), see));
          }
          ++rounds;
          std::this_thread::yield();
        }
      });
    }
    for (int i = 0; i < 20'000; ++i) {
      const std::uint64_t seen = rounds;
      while (i % 4 == 0 && rounds == seen) std::this_thread::yield();
      const auto index = static_cast<std::size_t>(i % 4);
      const auto lock = segments.lock(index);
      ++pairs[index].one;
      std::this_thread::yield();
      ++pairs[index].other;
    }
    done = true;
  }
  CHECK(torn == 0);
  for (const Pair& pair : pairs) CHECK(pair.other == 5000);
}

TEST_CASE("Store: a visit of a key that is only read keeps writers of that key out, and no others") {
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  store.create("read", "old");
  for (int i = 0; i < 100; ++i) REQUIRE(store.read("read") == "old");
  std::atomic<bool> written = false;
  std::optional<std::jthread> writer;
  store.visit("read", [&](const std::string& value) {
    writer.emplace([&] {
      store.upsert("read", "new");
      written = true;
    });
    give_a_moment();
    CHECK_FALSE(written);
    CHECK(value == "old");
  });
  writer.reset();
  CHECK(store.read("read") == "new");
}

TEST_CASE("Store: a visit of many keys that are only read keeps the writers of each out") {
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  std::vector<int> keys;
  for (int key = 0; key < 40; ++key) {
    store.create(key, 0);
    keys.push_back(key);
  }
  for (int i = 0; i < 10; ++i) REQUIRE(store.read_many(keys).size() == keys.size());
  std::atomic<int> written = 0;
  std::vector<std::jthread> writers;
  const auto write = [&](int key) {
    store.upsert(key, 1);
    ++written;
  };
  store.visit_many(keys, [&](std::size_t i, int value) {
    if (i != 3) return;  // of the first group of sixteen
    for (const int key : {3, 15}) writers.emplace_back(write, key);
    give_a_moment();
    CHECK(written == 0);
    CHECK(value == 0);
  });
  writers.clear();
  CHECK(store.read(3) + store.read(15) == 2);
}

TEST_CASE("Store: a visit of a key that is only read may throw; writers come in afterwards") {
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      support::storage_on(std::make_shared<support::Disk>()),
      {.batch_size = 0, .auto_save_interval = std::chrono::milliseconds{0}}};
  store.create(1, 1);
  for (int i = 0; i < 100; ++i) {
    REQUIRE_THROWS_AS(store.visit(1, [](int) { throw std::runtime_error{"no"}; }), std::runtime_error);
  }
  store.upsert(1, 2);
  CHECK(store.read(1) == 2);
}

}  // namespace
}  // namespace reader_slots_test
