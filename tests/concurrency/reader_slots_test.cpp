// SPDX-License-Identifier: MIT

// Readers who come without a segment's lock, and the writers who wait for them.

#include "kvstore/detail/reader_slots.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/per_thread.hpp"
#include "kvstore/detail/segments.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"

namespace reader_slots_test {
namespace {

using kvstore::detail::ReaderBias;
using kvstore::detail::ReaderSlot;
using kvstore::detail::ReaderSlots;

/// Segments and what there is for each thread that reads them.
template <class Mutex>
struct Segments : kvstore::detail::Segments<int, int, Mutex> {
  using Base = kvstore::detail::Segments<int, int, Mutex>;

  struct Reading : Base::Reading {
    Reading(const Segments& segments, std::size_t index)
        : Base::Reading{segments, index, segments.threads.own()} {}
  };

  mutable kvstore::detail::PerThread<ReaderSlot> threads;
};

template <class Mutex>
void open(const Segments<Mutex>& segments, std::size_t index) {
  for (std::uint32_t i = 0; i < ReaderBias::kFewestReads; ++i) {
    const typename Segments<Mutex>::Reading reading{segments, index};
  }
  REQUIRE(segments[index].bias.is_open(std::memory_order_seq_cst));
}

/// Long enough for a thread that does not wait to get where it must not be.
void give_a_moment() { std::this_thread::sleep_for(std::chrono::milliseconds{20}); }

TEST_CASE("ReaderBias: a segment opens after so many reads, and closes at a write") {
  constexpr std::uint32_t kMany = 3 * ReaderBias::kFewestReads;
  ReaderBias bias;
  const auto opens_after = [&](std::uint32_t reads) {
    for (std::uint32_t i = 1; i < reads; ++i) bias.note_read();
    if (bias.is_open(std::memory_order_seq_cst)) return false;
    bias.note_read();
    return bias.is_open(std::memory_order_seq_cst);
  };
  CHECK_FALSE(bias.close(0));
  for (std::uint32_t i = 1; i < ReaderBias::kFewestReads; ++i) bias.note_read();
  CHECK_FALSE(bias.close(0));
  CHECK(opens_after(ReaderBias::kFewestReads));
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
  for (std::uint32_t i = 0; i < ReaderBias::kFewestReads; ++i) bias.note_read();
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
