// SPDX-License-Identifier: MIT
#pragma once

// The segments of a store without the store, for the tests of their readers.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "kvstore/detail/base/per_thread.hpp"
#include "kvstore/detail/base/reader_slots.hpp"
#include "kvstore/detail/segment/guards.hpp"
#include "support/catch.hpp"

namespace segment_readers {

using kvstore::detail::ReaderBias;
using kvstore::detail::ReaderSlot;

/// Segments, and the slots of the threads that read them.
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

/// Sleeps long enough for a thread that fails to wait to get inside.
inline void give_a_moment() { std::this_thread::sleep_for(std::chrono::milliseconds{20}); }

}  // namespace segment_readers
