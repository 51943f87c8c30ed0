// SPDX-License-Identifier: MIT
#pragma once

// One journal file that is being written. Lines go into a buffer, from there to the operating system, and a
// sync makes them durable. Where many come between two syncs, operations store them in the tail, which is in
// the operating system's hands as well, and they follow into the file before it is synced.
//
// Space is allocated ahead, so that a sync need not record a new size. Once the journal has grown a little,
// space is zeroed ahead as well, so that a sync need not record newly used blocks either; on ext4 that takes
// a third off a sync. The syncing thread does both; a writer allocates only if it gets there first.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/tail_file.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The layout of a journal's space ahead, in bytes. Tests make it tiny.
struct JournalSpace {
  std::uint64_t step = std::uint64_t{256} << 10;             ///< allocated in multiples of this
  std::size_t tail = std::size_t{256} << 10;                 ///< length of the tail's file
  std::uint64_t zero_from = std::uint64_t{64} << 10;         ///< length from which zeroing ahead is worth it
  std::uint64_t zero_batch = std::uint64_t{64} << 10;        ///< bytes between two syncs from which it is not
  std::uint64_t zero_at_most = std::uint64_t{4} << 20;       ///< zeroed ahead at a time
  std::uint64_t allocate_at_most = std::uint64_t{32} << 20;  ///< allocated ahead by a writer
  std::size_t page = 4096;                                   ///< zeroed in one write; at most 4096
  std::uint64_t stage_from = std::uint64_t{4} << 10;    ///< bytes between two syncs that are worth a tail
  std::uint64_t compact_from = std::uint64_t{1} << 20;  ///< length from which a compaction may be worth it
  std::uint64_t long_from = std::uint64_t{48} << 20;    ///< length that delays an opening
};

/// *Thread safety*: one thread at a time adds, flushes and opens the window, and one thread, which may be
/// another, syncs and vouches at the same time. Any thread puts lines into the window.
class JournalFile {
 public:
  /// Continues an open file at `end`; its first `synced` bytes are durable. `tail` is null if its lines may
  /// stand in no other file.
  JournalFile(std::unique_ptr<File> file, std::string id, std::uint64_t end, std::uint64_t synced,
              const JournalSpace& space = {}, std::shared_ptr<TailFile> tail = nullptr);

  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;

  /// Releases the file's lock, unless this is a forked child, whose parent has it.
  ~JournalFile();

  /// Adds a line whose body is written by `write(JsonWriter&)`. Strong: if `write` throws, nothing was added.
  template <class Write>
  void add(const Write& write) {
    body_.clear();
    write_separator(body_, claim_vouching());
    write(body_);
    body_.raw('\n');
    const SealedLine line{body_.text()};
    lines_.reserve(lines_.size() + line.pieces().size());
    lines_.raw(line.pieces().checksum);
    lines_.raw(line.pieces().rest);
  }

  /// Adds whole lines, written with the plain separator; the first one is made to vouch, if that is due.
  /// Strong.
  void add_lines(std::string_view lines);

  /// The number of operations that have put lines into the window, up to the last flush, since the last call.
  [[nodiscard]] std::uint64_t take_operations() noexcept { return std::exchange(operations_, 0); }

  /// Passes the added lines to the operating system. After an error the file must no longer be used.
  std::error_code flush();

  /// Waits until all lines flushed before the call are on disk. After an error the file must no longer be
  /// used.
  std::error_code sync();

  /// From now on operations may use the tail: lines of another journal there are not needed any more.
  void take_tail() noexcept { has_tail_.store(tail_ != nullptr, std::memory_order_release); }
  [[nodiscard]] bool has_tail() const noexcept { return has_tail_.load(std::memory_order_acquire); }

  /// Makes the tail ready for `open_window`; `may_make` is asked before its file is made. False if lines are
  /// better written by a call.
  [[nodiscard]] bool prepare_window(FunctionRef<bool()> may_make) noexcept;
  /// Opens `window` on the tail, with `lines` in it, unless something was flushed since; see `LineJournal`.
  /// It is closed before anything is added, and before this object ends.
  [[nodiscard]] bool open_window(LineWindow& window, std::string_view lines,
                                 std::uint64_t operations) noexcept;
  /// Puts a line into `window`, which is open on this file or closed, that vouches for what was synced, so
  /// that later damage to that is not taken for a torn end.
  void vouch(LineWindow& window) noexcept;

  /// Releases the space allocated ahead, once no thread adds to the file any more. Failing does no harm.
  void trim();

  /// The offset at which the next flush writes.
  [[nodiscard]] std::uint64_t end() const noexcept { return end_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t synced() const noexcept { return synced_.load(std::memory_order_acquire); }
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] File& file() noexcept { return *file_; }

 private:
  /// Allocates and zeroes the space that the next syncs will cover, if the file, which ends at `end`, has
  /// grown enough for that to pay. A failure here is ignored: `flush` and the next sync will meet it.
  void extend(std::uint64_t end);

  static constexpr std::size_t kKept = std::size_t{1} << 20;  // bytes that a buffer keeps after a long line

  [[nodiscard]] std::uint64_t round_up(std::uint64_t bytes) const noexcept;

  void note_reserved(std::uint64_t to) noexcept;

  /// Reserves space in growing steps. Where that fails although lines may still fit, files simply grow.
  std::error_code allocate(std::uint64_t end, std::uint64_t bytes);

  /// The offset to vouch for in the next line, given to one caller; 0 if there is none.
  [[nodiscard]] std::uint64_t claim_vouching() noexcept;
  static void write_separator(JsonWriter& out, std::uint64_t vouched);

  /// Takes over what was put into the window. Waits for threads that are copying their lines.
  void settle_window() noexcept;
  /// Writes what has settled in the tail since the last call.
  std::error_code write_settled();

  /// Whether lines are worth staging in the tail: a sync covers many of them.
  [[nodiscard]] bool is_worth_staging(std::uint64_t end) const noexcept;

  std::unique_ptr<File> file_;
  JournalSpace space_;
  std::shared_ptr<TailFile> tail_;
  std::atomic<bool> has_tail_ = false;
  std::unique_ptr<char[]> settled_text_;  // as long as the tail
  bool prepared_ = false;                 // the tail has room for lines behind the end
  LineWindow* window_ = nullptr;          // that has lines behind the end
  std::uint64_t round_at_ = 0;            // the offset of its memory
  std::uint64_t settled_ = 0;             // the end of the lines in it
  std::uint32_t last_operation_ = 0;      // of those in `operations_`, as the window numbers them
  std::uint64_t operations_ = 0;
  std::atomic<std::uint64_t> last_batch_ = 0;  // bytes that the last sync covered
  std::string id_;
  std::atomic<std::uint64_t> end_;          // written by the adding thread
  std::atomic<std::uint64_t> synced_;       // written by the syncing thread
  std::atomic<std::uint64_t> vouched_ = 0;  // the last offset that a line has recorded as synced
  std::mutex extending_;                    // one thread at a time extends the file
  bool trimmed_ = false;
  std::atomic<std::uint64_t> reserved_ = 0;  // bytes; there is space for lines below this offset
  std::atomic<std::uint64_t> asked_ = 0;     // lines below it are written whether or not there is
  JsonWriter body_;
  JsonWriter lines_;
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/file.ipp"
#endif
