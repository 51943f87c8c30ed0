// SPDX-License-Identifier: MIT
#pragma once

// The definitions of parallel_load.hpp.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/detail/json_file/line_ranges.hpp"
#include "kvstore/detail/json_file/parallel_load.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE bool LineRangeReader::next(JsonEntry& entry) {
  try {
    if (cursor_.next(range_.text(), false, entry) != JsonCursor::Step::entry) return false;
    entry.key_offset += range_.offset();
    entry.value_offset += range_.offset();
    return true;
  } catch (const ParseError& error) { fail(range_.offset() + error.offset(), error.what()); }
}

[[noreturn]] KVSTORE_INLINE void throw_corrupt_entry(const std::filesystem::path& path, std::uint64_t offset,
                                                     const std::string& message, std::string_view key) {
  CorruptionError::Place place;
  if (key.data() != nullptr) place.key = KeyText<std::string>::for_message(key);
  throw CorruptionError{path, offset, message, std::move(place)};
}

KVSTORE_INLINE void LineRangeReader::fail(std::uint64_t offset, const std::string& message,
                                          std::string_view key) const {
  throw_corrupt_entry(path_, offset, message, key);
}

KVSTORE_INLINE JsonPosition LineRangeReader::position() const noexcept {
  return {range_.offset() + cursor_.position(), cursor_.place()};
}

KVSTORE_INLINE bool LineRangeReader::ended_between_entries() const noexcept {
  return cursor_.position() == range_.text().size();
}

KVSTORE_INLINE ParallelLoad::ParallelLoad(LineRanges& ranges, const std::filesystem::path& path,
                                          std::size_t threads, LoadSink& sink)
    : ranges_{ranges}, path_{path}, sink_{sink}, slots_(2 * threads) {
  for (Slot& slot : slots_) slot.stage = sink.stage();
  helpers_ = start_helpers(threads - 1, [this] { help(); });
}

KVSTORE_INLINE ParallelLoad::~ParallelLoad() {
  const std::scoped_lock lock{mutex_};
  ended_ = true;
  changed_.notify_all();
}

KVSTORE_INLINE JsonPosition ParallelLoad::run() {
  while (true) {
    read_ahead();
    if (first_ == end_) return {ranges_.offset(), JsonPlace::after_comma};
    Slot& slot = slot_of(first_);
    const State found = claim(slot, first_);
    if (found == State::claimed) {  // by another thread
      if (!take_another()) wait_for(slot);
      continue;
    }
    if (found == State::waiting) read(slot, sink_);
    if (slot.failure) std::rethrow_exception(slot.failure);
    if (found == State::done) slot.stage->commit();
    if (!slot.complete) return slot.end;
    ++first_;
  }
}

KVSTORE_INLINE auto ParallelLoad::slot_of(std::uint64_t number) noexcept -> Slot& {
  return slots_[static_cast<std::size_t>(number % slots_.size())];
}

KVSTORE_INLINE void ParallelLoad::read_ahead() {
  while (!ranges_ended_ && end_ - first_ < slots_.size()) {
    Slot& slot = slot_of(end_);
    ranges_ended_ = !ranges_.next(slot.range);
    if (ranges_ended_) return;
    slot.stage->clear();
    const std::scoped_lock lock{mutex_};
    slot.state = State::waiting;
    ++end_;
    changed_.notify_all();
  }
}

KVSTORE_INLINE auto ParallelLoad::claim(Slot& slot, std::uint64_t number) -> State {
  const std::scoped_lock lock{mutex_};
  const State found = slot.state;
  if (found == State::waiting) {
    slot.state = State::claimed;
    next_ = number + 1;
  }
  return found;
}

KVSTORE_INLINE bool ParallelLoad::take_another() {
  std::unique_lock lock{mutex_};
  Slot* const slot = claim_next_locked();
  if (slot == nullptr) return false;
  lock.unlock();
  read(*slot, *slot->stage);
  finish(*slot);
  return true;
}

KVSTORE_INLINE void ParallelLoad::wait_for(const Slot& slot) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [&] { return slot.state == State::done; });
}

KVSTORE_INLINE void ParallelLoad::help() {
  std::unique_lock lock{mutex_};
  while (true) {
    changed_.wait(lock, [this] { return ended_ || next_ < end_; });
    if (ended_) return;
    Slot& slot = *claim_next_locked();
    lock.unlock();
    read(slot, *slot.stage);
    finish(slot);
    lock.lock();
  }
}

KVSTORE_INLINE auto ParallelLoad::claim_next_locked() -> Slot* {
  if (next_ == end_) return nullptr;
  Slot& slot = slot_of(next_++);
  slot.state = State::claimed;
  return &slot;
}

KVSTORE_INLINE void ParallelLoad::finish(Slot& slot) {
  const std::scoped_lock lock{mutex_};
  slot.state = State::done;
  changed_.notify_all();
}

}}}  // namespace kvstore::v1::detail
