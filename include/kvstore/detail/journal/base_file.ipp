// SPDX-License-Identifier: MIT
#pragma once

// The definitions of base_file.hpp.

#include <atomic>
#include <cstdint>
#include <memory>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/set_aside.hpp"
#include "kvstore/detail/journal/base_file.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void JournalBase::remember(const FileStatus& status, const BaseId& id) {
  known_.remember(status, id.crc);
  mark_ = mark_of(status);
  next_mark_ = mark_.load();  // until there is a next file, so that a missing file does not count as it
  bytes_ = id.size;
}

KVSTORE_INLINE FileState JournalBase::state() const {
  const auto status = uninterrupted([&] { return files_.status(path_); });
  check_usable(path_, status.error, "cannot look at it");
  const std::uint64_t mark = mark_of(status.value);
  if (mark == mark_ || mark == next_mark_) return FileState::same;
  return mark == 0 ? FileState::missing : FileState::changed;
}

KVSTORE_INLINE bool JournalBase::serves(bool changes) const {
  const FileState now = state();
  return now == FileState::same || (now == FileState::changed && !changes);
}

KVSTORE_INLINE void JournalBase::write(ChangeSource& everything) {
  remove_leftover(files_, path_);
  // While there is no base file yet, or another program has removed it: as its journal.
  next_ = std::make_unique<AtomicFile>(files_, path_, kBlockBytes, store_rights(files_, path_));
  next_id_.crc = write_json_snapshot(*next_, everything);
  next_id_.exists = true;
  next_id_.size = next_->size();
  next_->seal();
}

KVSTORE_INLINE void JournalBase::replace() {
  if (known_.compare(files_, path_) == FileState::changed) aside_.put(*next_, next_id_.crc);
  known_.expect(next_->sealed(), next_id_.crc);
  next_mark_ = mark_of(next_->sealed());
  next_->rename();
  remember(next_->sealed(), next_id_);
  next_.reset();
}

KVSTORE_INLINE std::uint64_t JournalBase::mark_of(const FileStatus& status) noexcept {
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

}}}  // namespace kvstore::v1::detail
