// SPDX-License-Identifier: MIT

// The slots in which readers announce themselves instead of taking the lock of a segment.

#include "kvstore/detail/base/reader_slots.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "support/catch.hpp"

namespace reader_slots_test {

using kvstore::detail::ReaderBias;
using kvstore::detail::ReaderSlot;
using kvstore::detail::ReaderSlots;

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

TEST_CASE("ReaderSlots: a reader in one segment cannot announce another") {
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
  CHECK_FALSE(slots.is_anyone_in(3));  // the previous group is forgotten
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
  std::array<ReaderSlot, 4> slots;  // of four threads: one stays inside while another leaves
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

}  // namespace reader_slots_test
