// SPDX-License-Identifier: MIT
#pragma once

// Reads the entries of a JSON object with several threads. The entries and their order are those that one
// thread would have read.
//
// The calling thread reads the file in order and cuts it into ranges. Each thread takes the next unclaimed
// range and puts its entries on a stage. The calling thread commits the stages in the order of the file. It
// commits a range, with its entries or its exception, only once all ranges before it have ended between two
// entries. Otherwise the range began in the wrong place: everything read ahead is dropped, and the caller
// reads on from there in one piece.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/json/object_cursor.hpp"
#include "kvstore/detail/json_file/line_ranges.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The position from which to read on, and the state of the cursor there.
struct JsonPosition {
  std::uint64_t offset = 0;
  JsonPlace place = JsonPlace::start;
};

/// Puts an entry found by `reader` into `target`. @throws CorruptionError if it does not fit
template <class Reader, class Target>
void put_entry(const Reader& reader, const JsonEntry& entry, Target& target) {
  if (entry.key == kSchemaVersionKey) reader.fail(entry.key_offset, "expected this as the first member only");
  try {
    target.put(entry.key, entry.value);
  } catch (const ParseError& error) { reader.fail(entry.value_offset + error.offset(), error.what()); }
}

/// Reads the entries of one range, as a `JsonEntryReader` does those of a file, up to the first incomplete
/// one.
class LineRangeReader {
 public:
  /// Both arguments outlive this object.
  LineRangeReader(const LineRange& range, const std::filesystem::path& path) noexcept
      : range_{range}, path_{path} {}

  bool next(JsonEntry& entry) {
    try {
      if (cursor_.next(range_.text(), false, entry) != JsonCursor::Step::entry) return false;
      entry.key_offset += range_.offset();
      entry.value_offset += range_.offset();
      return true;
    } catch (const ParseError& error) { fail(range_.offset() + error.offset(), error.what()); }
  }

  [[noreturn]] void fail(std::uint64_t offset, const std::string& message) const {
    throw CorruptionError{path_, offset, message};
  }

  [[nodiscard]] JsonPosition position() const noexcept {
    return {range_.offset() + cursor_.position(), cursor_.place()};
  }
  /// Whether the comma at the range's end was between two entries, so that the cursor read it.
  [[nodiscard]] bool ended_between_entries() const noexcept {
    return cursor_.position() == range_.text().size();
  }

 private:
  const LineRange& range_;
  const std::filesystem::path& path_;
  JsonCursor cursor_{JsonPlace::after_comma};
};

class ParallelLoad {
 public:
  /// `sink` must offer stages. All arguments outlive this object. `threads` includes the caller's. *Thread
  /// safety*: none.
  ParallelLoad(LineRanges& ranges, const std::filesystem::path& path, std::size_t threads, LoadSink& sink)
      : ranges_{ranges}, path_{path}, sink_{sink}, slots_(2 * threads) {
    for (Slot& slot : slots_) slot.stage = sink.stage();
    helpers_ = start_helpers(threads - 1, [this] { help(); });
  }
  ParallelLoad(const ParallelLoad&) = delete;
  ParallelLoad& operator=(const ParallelLoad&) = delete;
  ~ParallelLoad() {
    const std::scoped_lock lock{mutex_};
    ended_ = true;
    changed_.notify_all();
  }

  /// Reads all that can be cut into ranges, and returns the start of the rest. @throws CorruptionError; the
  /// exceptions of `LoadSink::put`
  JsonPosition run() {
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

 private:
  enum class State { waiting, claimed, done };

  struct Slot {
    LineRange range;
    std::unique_ptr<LoadStage> stage;
    State state = State::waiting;
    // The result, written by the thread that claimed the range:
    bool complete = false;  // it ended between two entries
    JsonPosition end;       // otherwise the position at which it broke off
    std::exception_ptr failure;
  };

  [[nodiscard]] Slot& slot_of(std::uint64_t number) noexcept {
    return slots_[static_cast<std::size_t>(number % slots_.size())];
  }

  // The thread that calls --------------------------------------------------------------------------------

  void read_ahead() {
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

  /// Claims range `number` if it is unclaimed; returns its previous state.
  [[nodiscard]] State claim(Slot& slot, std::uint64_t number) {
    const std::scoped_lock lock{mutex_};
    const State found = slot.state;
    if (found == State::waiting) {
      slot.state = State::claimed;
      next_ = number + 1;
    }
    return found;
  }

  bool take_another() {
    std::unique_lock lock{mutex_};
    Slot* const slot = claim_next_locked();
    if (slot == nullptr) return false;
    lock.unlock();
    read(*slot, *slot->stage);
    finish(*slot);
    return true;
  }

  void wait_for(const Slot& slot) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return slot.state == State::done; });
  }

  // Every thread -----------------------------------------------------------------------------------------

  void help() {
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

  [[nodiscard]] Slot* claim_next_locked() {
    if (next_ == end_) return nullptr;
    Slot& slot = slot_of(next_++);
    slot.state = State::claimed;
    return &slot;
  }

  template <class Target>
  void read(Slot& slot, Target& target) noexcept {
    try {
      slot.failure = nullptr;
      LineRangeReader reader{slot.range, path_};
      for (JsonEntry entry; reader.next(entry);) put_entry(reader, entry, target);
      slot.complete = reader.ended_between_entries();
      slot.end = reader.position();
    } catch (...) { slot.failure = std::current_exception(); }
  }

  void finish(Slot& slot) {
    const std::scoped_lock lock{mutex_};
    slot.state = State::done;
    changed_.notify_all();
  }

  LineRanges& ranges_;
  const std::filesystem::path& path_;
  LoadSink& sink_;
  std::vector<Slot> slots_;  // a ring
  std::uint64_t first_ = 0;  // the range to commit next
  bool ranges_ended_ = false;

  std::mutex mutex_;  // guards the states of slots, and what follows
  std::condition_variable changed_;
  bool ended_ = false;                 // the helpers are to leave
  std::uint64_t next_ = 0;             // the first unclaimed range
  std::uint64_t end_ = 0;              // one past the last range read; written by the calling thread
  std::vector<std::jthread> helpers_;  // last, so that they end before the members they use
};

}}}  // namespace kvstore::v1::detail
