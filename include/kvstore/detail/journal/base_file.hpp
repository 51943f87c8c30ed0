// SPDX-License-Identifier: MIT
#pragma once

// The JSON file that a journal continues, and the one that is to take its place.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/set_aside.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: `look` and `bytes` may be called beside everything; the rest one at a time.
class JournalBase {
 public:
  /// `files` outlives it. `path` is the file's.
  JournalBase(FileSystem& files, std::filesystem::path path)
      : files_{files}, path_{std::move(path)}, aside_{files_, path_} {}

  /// Takes what was loaded for what belongs there; `status` is of a missing file if there was none.
  void remember(const FileStatus& status, const BaseId& id) {
    known_.remember(status, id.crc);
    mark_ = mark_of(status);
    next_mark_ = mark_.load();  // until it is known, no file at all would look as if it belonged there
    bytes_ = id.size;
  }

  /// Size of the one in place, in bytes.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  /// How the file stands, by its status, to the one that was loaded or written last. Two system calls fewer
  /// than to know it; one that was merely touched looks changed. @throws StorageError
  [[nodiscard]] FileState state() const {
    const auto status = uninterrupted([&] { return files_.status(path_); });
    check_usable(path_, status.error, "cannot look at it");
    const std::uint64_t mark = mark_of(status.value);
    if (mark == mark_ || mark == next_mark_) return FileState::same;
    return mark == 0 ? FileState::missing : FileState::changed;
  }

  /// Whether the file is good enough for a journal, which may hold changes to it: to none an edit is no loss.
  /// A missing file always is one. @throws StorageError
  [[nodiscard]] bool serves(bool changes) const {
    const FileState now = state();
    return now == FileState::same || (now == FileState::changed && !changes);
  }

  /// Writes the next one, under another name, durably. @throws StorageError also if that name stands for what
  /// is no leftover of a save: it stays
  void write(ChangeSource& everything) {
    remove_leftover(files_, path_);
    next_ = std::make_unique<AtomicFile>(files_, path_, kBlockBytes, known_.status());
    next_id_.crc = write_json_snapshot(*next_, everything);
    next_id_.exists = true;
    next_id_.size = next_->size();
    next_->seal();
  }

  /// Which snapshot the next one is.
  [[nodiscard]] const BaseId& next_id() const noexcept { return next_id_; }

  /// Gives the next one its name. @throws ConflictError if another program has changed the file: it stays,
  /// and the next one is put aside
  void replace() {
    if (known_.compare(files_, path_) == FileState::changed) aside_.put(*next_, next_id_.crc);
    known_.expect(next_->sealed(), next_id_.crc);
    next_mark_ = mark_of(next_->sealed());
    next_->rename();
    remember(next_->sealed(), next_id_);
    next_.reset();
  }

  /// Once the new name is durable as well.
  void settle() noexcept { aside_.drop(); }

  /// Drops the next one.
  void give_up() noexcept { next_.reset(); }

 private:
  /// Tells one status from another, in one word, which can be looked at beside a change.
  [[nodiscard]] static std::uint64_t mark_of(const FileStatus& status) noexcept {
    if (status.kind == FileKind::missing) return 0;
    constexpr std::uint64_t kOdd = 0x9E37'79B9'7F4A'7C15;  // of Knuth's multiplicative hash
    std::uint64_t mark = 1;
    for (const std::uint64_t part :
         {status.device, status.inode, status.size, static_cast<std::uint64_t>(status.modified)}) {
      mark = (mark ^ part) * kOdd;
      mark ^= mark >> 32;
    }
    return mark | 1;
  }

  FileSystem& files_;
  std::filesystem::path path_;
  KnownFile known_;
  SetAside aside_;
  std::unique_ptr<AtomicFile> next_;
  BaseId next_id_;
  std::atomic<std::uint64_t> mark_ = 0;
  std::atomic<std::uint64_t> next_mark_ = 0;  // of what a rename is about to put there
  std::atomic<std::uint64_t> bytes_ = 0;
};

}}}  // namespace kvstore::v1::detail
