// SPDX-License-Identifier: MIT

// Readers that enter a segment without its lock, and writers that wait for these readers.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "concurrency/segment_readers.hpp"
#include "kvstore/detail/base/reader_slots.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "support/catch.hpp"

namespace segment_readers_test {

using kvstore::detail::ReaderBias;
using segment_readers::give_a_moment;
using segment_readers::open;
using segment_readers::Segments;

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
      REQUIRE(segments[index].mutex.try_lock());  // free, since the reader does not hold it
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
  const auto locks = segments.lock_all();  // need not wait
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
  REQUIRE(segments[0].mutex.try_lock());  // free, since the reader does not hold it
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
  REQUIRE(segments[0].mutex.try_lock());  // free: the outer reader still uses its slot
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
        // The groups of a thread take turns, so that each announcement replaces the previous one.
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

}  // namespace segment_readers_test
