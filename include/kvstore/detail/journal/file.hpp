// SPDX-License-Identifier: MIT
#pragma once

// One journal file that is being written. Lines go into a buffer, from there to the operating system, and a
// sync makes them durable.
//
// Space is allocated ahead, so that a sync need not record a new size. Once the journal has grown a little,
// space is zeroed ahead as well, so that a sync need not record newly used blocks either; on ext4 that takes
// a third off a sync. The syncing thread does both; a writer allocates only if it gets there first.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The layout of a journal's space ahead, in bytes. Tests make it tiny.
struct JournalSpace {
  std::uint64_t step = std::uint64_t{256} << 10;        ///< allocated in multiples of this, and mapped one at
                                                        ///< a time
  std::uint64_t zero_from = std::uint64_t{64} << 10;    ///< length from which zeroing ahead is worth it
  std::uint64_t zero_at_most = std::uint64_t{4} << 20;  ///< zeroed ahead at a time
  std::uint64_t allocate_at_most = std::uint64_t{32} << 20;  ///< allocated ahead by a writer
  std::size_t page = 4096;                                   ///< zeroed in one write; at most 4096
  std::uint64_t map_from = std::uint64_t{4} << 10;  ///< bytes between two syncs that are worth mapping
};

/// *Thread safety*: one thread at a time adds and flushes, and one thread, which may be another, syncs at the
/// same time.
class JournalFile {
 public:
  /// Continues an open file at `end`; its first `synced` bytes are durable.
  JournalFile(std::unique_ptr<File> file, std::string id, std::uint64_t end, std::uint64_t synced,
              const JournalSpace& space = {})
      : file_{std::move(file)}, space_{space}, id_{std::move(id)}, end_{end}, synced_{synced} {}

  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;

  /// Releases the file's lock, unless this is a forked child, whose parent has it.
  ~JournalFile() {
    if (!home_.is_foreign_by_id()) file_->unlock();
  }

  /// Adds a line whose body is written by `write(JsonWriter&)`. Strong: if `write` throws, nothing was added.
  template <class Write>
  void add(const Write& write) {
    body_.clear();
    const std::uint64_t synced = this->synced();
    if (synced > marked_) {
      body_.raw('|');
      body_.integer(synced);
    }
    body_.raw(' ');
    write(body_);
    const auto digits = crc_digits(crc32c(body_.text()));
    body_.raw('\n');
    lines_.reserve(lines_.size() + digits.size() + body_.size());
    lines_.raw({digits.data(), digits.size()});
    lines_.raw(body_.text());
    marked_ = synced;
  }

  /// Passes the added lines to the operating system. After an error the file must no longer be used.
  std::error_code flush() {
    if (lines_.size() == 0) return {};
    const std::uint64_t end = this->end();
    if (const auto error = allocate(end, lines_.size())) return error;
    if (!store_mapped(end, lines_.text())) {
      if (const auto error = write_all(*file_, end, lines_.text())) return error;
    }
    end_.store(end + lines_.size(), std::memory_order_release);
    lines_.clear();
    for (JsonWriter* const buffer : {&body_, &lines_}) buffer->shrink(kKept);
    return {};
  }

  /// Waits until all lines flushed before the call are on disk. After an error the file must no longer be
  /// used.
  std::error_code sync() {
    const std::uint64_t end = this->end();
    if (synced() >= end) return {};
    extend(end);
    if (const auto error = uninterrupted([&] { return file_->sync(); })) return error;
    last_batch_.store(end - synced(), std::memory_order_relaxed);
    synced_.store(end, std::memory_order_release);  // and the next line records it
    return {};
  }

  /// Releases the space allocated ahead, once no thread adds to the file any more. Failing does no harm.
  void trim() {
    const std::scoped_lock lock{extending_};
    mapping_.reset();
    if (!std::exchange(trimmed_, true)) static_cast<void>(file_->truncate(end()));
  }

  /// The offset at which the next flush writes.
  [[nodiscard]] std::uint64_t end() const noexcept { return end_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t synced() const noexcept { return synced_.load(std::memory_order_acquire); }
  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] File& file() noexcept { return *file_; }

 private:
  /// Allocates and zeroes the space that the next syncs will cover, if the file, which ends at `end`, has
  /// grown enough for that to pay. A failure here is ignored: `flush` and the next sync will meet it.
  void extend(std::uint64_t end) {
    if (end < space_.zero_from) return;
    const std::scoped_lock lock{extending_};
    if (trimmed_) return;
    const std::uint64_t from = std::max(allocated_.load(std::memory_order_relaxed), end);
    const std::uint64_t step = std::clamp(end, space_.step, space_.zero_at_most);
    if (from - end > step / 2) return;
    const std::uint64_t target = round_up(end + step);
    if (uninterrupted([&] { return file_->allocate(from, target - from); })) return;
    // Page by page: zeros written in one piece would be kept in large folios of the page cache, and a sync
    // writes a folio whole even if only a single line was stored in it through a mapping.
    static constexpr std::array<char, 4096> kZeros{};
    for (std::uint64_t at = from; at < target;) {
      const std::uint64_t bytes = std::min(target - at, space_.page - at % space_.page);
      if (write_all(*file_, at, {kZeros.data(), static_cast<std::size_t>(bytes)})) return;
      at += bytes;
    }
    allocated_.store(target, std::memory_order_release);
  }

  static constexpr std::size_t kKept = std::size_t{1} << 20;  // bytes that a buffer keeps after a long line

  [[nodiscard]] std::uint64_t round_up(std::uint64_t bytes) const noexcept {
    return (bytes + space_.step - 1) / space_.step * space_.step;
  }

  /// Reserves space in growing steps. If the file system cannot reserve, files simply grow.
  std::error_code allocate(std::uint64_t end, std::uint64_t bytes) {
    if (end + bytes <= allocated_.load(std::memory_order_acquire)) return {};
    const std::scoped_lock lock{extending_};
    if (end + bytes <= allocated_.load(std::memory_order_relaxed)) return {};
    const std::uint64_t step = std::clamp(end, space_.step, space_.allocate_at_most);
    const std::uint64_t target = round_up(end + std::max(bytes, step));
    const auto error = uninterrupted([&] { return file_->allocate(end, target - end); });
    mappable_ =
        mappable_ && !error;  // storing into what is not allocated could meet a full disk, and a signal
    // Near a full disk, a quota or a limit, the line itself may still fit.
    if (error && !only_reserving_failed(error)) return error;
    allocated_.store(error ? end + bytes : target, std::memory_order_release);
    return {};
  }

  /// Stores `text` at the end through a mapping. @returns false, having done nothing, if `text` must be
  /// written by a call.
  bool store_mapped(std::uint64_t end, std::string_view text) {
    const std::uint64_t batch = std::max(last_batch_.load(std::memory_order_relaxed), end - synced());
    if (!mappable_ || batch < space_.map_from) return false;
    const std::uint64_t window = end - end % space_.step;
    if (end + text.size() > window + space_.step ||
        window + space_.step > allocated_.load(std::memory_order_relaxed))
      return false;
    if (!mapping_ || mapped_at_ != window) {
      mapping_.reset();
      auto mapped = file_->map(window, static_cast<std::size_t>(space_.step));
      mappable_ = !mapped.error;
      if (mapped.error) return false;
      mapping_ = std::move(mapped.value);
      mapped_at_ = window;
    }
    std::memcpy(mapping_->bytes().data() + (end - window), text.data(), text.size());
    return true;
  }

  std::unique_ptr<File> file_;
  JournalSpace space_;
  std::unique_ptr<Mapping> mapping_;  // of one step, from mapped_at_
  std::uint64_t mapped_at_ = 0;
  bool mappable_ = true;
  std::atomic<std::uint64_t> last_batch_ = 0;  // bytes that the last sync covered
  std::string id_;
  std::atomic<std::uint64_t> end_;     // written by the adding thread
  std::atomic<std::uint64_t> synced_;  // written by the syncing thread
  std::uint64_t marked_ = 0;           // the last offset that a line has recorded as synced
  std::mutex extending_;               // one thread at a time extends the file
  bool trimmed_ = false;
  std::atomic<std::uint64_t> allocated_ = 0;  // bytes; lines are written only below this offset
  JsonWriter body_;
  JsonWriter lines_;
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail
