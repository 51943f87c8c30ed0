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
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kvstore/detail/contract/entry_error.hpp"
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

/// `key`: of the entry concerned, as its text; empty if unknown. @throws CorruptionError
[[noreturn]] void throw_corrupt_entry(const std::filesystem::path& path, std::uint64_t offset,
                                      const std::string& message, std::string_view key);

/// Puts an entry found by `reader` into `target`. @throws CorruptionError if it does not fit
template <class Reader, class Target>
void put_entry(const Reader& reader, const JsonEntry& entry, Target& target) {
  if (entry.key == kSchemaVersionKey) reader.fail(entry.key_offset, "expected this as the first member only");
  try {
    target.put(entry.key, entry.value);
  } catch (const EntryError& error) {
    const bool in_key = error.part() == EntryPart::key;
    reader.fail(in_key ? entry.key_offset : entry.value_offset + error.offset(), error.what(), entry.key);
  } catch (const ParseError& error) {
    reader.fail(entry.value_offset + error.offset(), error.what(), entry.key);
  }
}

/// Reads the entries of one range, as a `JsonEntryReader` does those of a file, up to the first incomplete
/// one.
class LineRangeReader {
 public:
  /// Both arguments outlive this object.
  LineRangeReader(const LineRange& range, const std::filesystem::path& path) noexcept
      : range_{range}, path_{path} {}

  bool next(JsonEntry& entry);

  [[noreturn]] void fail(std::uint64_t offset, const std::string& message, std::string_view key = {}) const;

  [[nodiscard]] JsonPosition position() const noexcept;
  /// Whether the comma at the range's end was between two entries, so that the cursor read it.
  [[nodiscard]] bool ended_between_entries() const noexcept;

 private:
  const LineRange& range_;
  const std::filesystem::path& path_;
  JsonCursor cursor_{JsonPlace::after_comma};
};

class ParallelLoad {
 public:
  /// `sink` must offer stages. All arguments outlive this object. `threads` includes the caller's. *Thread
  /// safety*: none.
  ParallelLoad(LineRanges& ranges, const std::filesystem::path& path, std::size_t threads, LoadSink& sink);
  ParallelLoad(const ParallelLoad&) = delete;
  ParallelLoad& operator=(const ParallelLoad&) = delete;
  ~ParallelLoad();

  /// Reads all that can be cut into ranges, and returns the start of the rest. @throws CorruptionError; the
  /// exceptions of `LoadSink::put`
  JsonPosition run();

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

  [[nodiscard]] Slot& slot_of(std::uint64_t number) noexcept;

  // The thread that calls --------------------------------------------------------------------------------

  void read_ahead();

  /// Claims range `number` if it is unclaimed; returns its previous state.
  [[nodiscard]] State claim(Slot& slot, std::uint64_t number);

  bool take_another();

  void wait_for(const Slot& slot);

  // Every thread -----------------------------------------------------------------------------------------

  void help();

  [[nodiscard]] Slot* claim_next_locked();

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

  void finish(Slot& slot);

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

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/json_file/parallel_load.ipp"
#endif
