// SPDX-License-Identifier: MIT
#pragma once

// The open files and the mappings of a simulated disk, and the state that they share with the disk.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "support/simulated_file.hpp"
#include "support/simulated_folder.hpp"
#include "support/simulated_mapping.hpp"

namespace support {

/// The behaviour of a disk.
struct DiskModel {
  std::size_t sector = 512;     ///< bytes that are written whole or not at all
  bool can_allocate = true;     ///< whether space can be reserved
  bool can_map = true;          ///< whether files can be mapped
  std::size_t map_unit = 64;    ///< the unit of the offset and the size of a mapping
  long process_id = 1000;       ///< of the process that uses the disk
  std::string folder = "/sim";  ///< exists from the start
};

/// The state that a simulated disk shares with its open files.
struct DiskState {
  explicit DiskState(DiskModel disk_model) : model{std::move(disk_model)} {}

  [[nodiscard]] bool next_sync_fails() { return syncs_until_failure != 0 && --syncs_until_failure == 0; }

  void take_over_stores() {
    for (const InodePointer& inode : mapped) take_over_stores(*inode);
  }
  void take_over_stores(Inode& inode) {
    const std::uint64_t before = inode.position();
    inode.take_over_stores(model.sector);
    if (inode.position() != before) ++version;
  }

  const DiskModel model;
  std::function<void()> during_sync{};
  std::mutex mutex{};                  // guards the members below, and all inodes
  std::vector<InodePointer> mapped{};  // one entry for each mapping
  std::uint64_t version = 0;
  std::uint64_t syncs_until_failure = 0;  // 0: none fails
};

[[nodiscard]] inline kvstore::detail::FileStatus status_of(const Inode& inode) {
  return {.kind = kvstore::detail::FileKind::regular,
          .size = inode.live.size,
          .mode = inode.mode,
          .owner = inode.owner,
          .group = inode.group,
          .device = 1,
          .inode = inode.id};
}

/// A mapped piece of a file of a `SimulatedDisk`. The mapping outlives the open file.
class SimulatedMapping : public kvstore::detail::Mapping {
 public:
  /// Call under the lock of the disk.
  SimulatedMapping(DiskState& disk, InodePointer inode, std::unique_ptr<MappedPages> pages)
      : Mapping{pages->bytes()}, disk_{disk}, inode_{std::move(inode)}, pages_{std::move(pages)} {
    pages_->show(inode_->live, 0, inode_->live.size);
    disk_.mapped.push_back(inode_);
    inode_->mapped.push_back(pages_.get());
  }
  ~SimulatedMapping() override {
    const std::lock_guard guard{disk_.mutex};
    disk_.take_over_stores(*inode_);
    std::erase(inode_->mapped, pages_.get());
    disk_.mapped.erase(std::find(disk_.mapped.begin(), disk_.mapped.end(), inode_));
  }

 private:
  DiskState& disk_;
  InodePointer inode_;
  std::unique_ptr<MappedPages> pages_;
};

/// An open file of a `SimulatedDisk`. The file outlives its name.
class SimulatedFile : public kvstore::detail::File {
 public:
  template <class Value>
  using Result = kvstore::detail::Result<Value>;

  SimulatedFile(DiskState& disk, InodePointer inode, bool writable)
      : disk_{disk}, inode_{std::move(inode)}, writable_{writable} {
    const bool untold = inode_->write_errors != 0 && !inode_->write_error_is_told;
    told_errors_ = inode_->write_errors - (untold ? 1 : 0);
  }
  SimulatedFile(const SimulatedFile&) = delete;
  SimulatedFile& operator=(const SimulatedFile&) = delete;
  ~SimulatedFile() override { static_cast<void>(close()); }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    const std::lock_guard guard{disk_.mutex};
    if (!inode_) return {0, closed()};
    disk_.take_over_stores(*inode_);
    return {inode_->live.read(offset, out), {}};
  }
  Result<std::size_t> write_at(std::uint64_t offset, std::string_view text) override {
    const auto error = edit([&] { inode_->write(offset, text, disk_.model.sector); });
    return {error ? 0 : text.size(), error};
  }
  std::error_code sync() override {
    std::unique_lock lock{disk_.mutex};
    if (!inode_) return closed();
    const InodePointer inode = inode_;
    disk_.take_over_stores(*inode);
    const std::uint64_t covered = inode->position();
    const bool fails = disk_.next_sync_fails();
    ++disk_.version;
    if (fails) inode->fail_sync();
    if (disk_.during_sync) {
      lock.unlock();
      disk_.during_sync();
      lock.lock();
    }
    if (!fails) inode->sync(covered);
    ++disk_.version;
    return tell_error(*inode);
  }
  std::error_code truncate(std::uint64_t size) override {
    if (!writable_) return make_error_code(std::errc::invalid_argument);
    return edit([&] { inode_->resize(size); });
  }
  std::error_code allocate(std::uint64_t offset, std::uint64_t bytes) override {
    if (!disk_.model.can_allocate) return make_error_code(std::errc::operation_not_supported);
    return edit([&] { inode_->resize(std::max(inode_->live.size, offset + bytes)); });
  }
  /// Ends the test if not all of the range is allocated: a program would meet SIGBUS there.
  Result<std::unique_ptr<kvstore::detail::Mapping>> map(std::uint64_t offset, std::size_t bytes) override {
    const std::lock_guard guard{disk_.mutex};
    if (!inode_) return {nullptr, closed()};
    if (!disk_.model.can_map) return {nullptr, make_error_code(std::errc::operation_not_supported)};
    if (!writable_) return {nullptr, make_error_code(std::errc::permission_denied)};
    const std::size_t unit = disk_.model.map_unit;
    if (bytes == 0 || offset % unit != 0 || bytes % unit != 0) {
      return {nullptr, make_error_code(std::errc::invalid_argument)};
    }
    if (offset + bytes > inode_->live.size) {  // no exception: the library may take it for a failure
      std::fputs("mapped beyond what was allocated\n", stderr);
      std::abort();
    }
    disk_.take_over_stores(*inode_);
    return {std::make_unique<SimulatedMapping>(disk_, inode_, std::make_unique<MappedPages>(offset, bytes)),
            {}};
  }
  Result<kvstore::detail::FileStatus> status() override {
    const std::lock_guard guard{disk_.mutex};
    if (!inode_) return {{}, closed()};
    return {status_of(*inode_), {}};
  }
  std::error_code set_mode(std::uint32_t mode) override {
    return change([&] { inode_->mode = mode; });
  }
  std::error_code set_owner(std::uint32_t owner, std::uint32_t group) override {
    return change([&] {
      inode_->owner = owner;
      inode_->group = group;
    });
  }
  std::error_code try_lock() override {
    const std::lock_guard guard{disk_.mutex};
    if (!inode_) return closed();
    if (inode_->lock_holder != nullptr && inode_->lock_holder != this) {
      return make_error_code(std::errc::operation_would_block);
    }
    inode_->lock_holder = this;
    return {};
  }
  void unlock() noexcept override {
    const std::lock_guard guard{disk_.mutex};
    if (inode_ && inode_->lock_holder == this) inode_->lock_holder = nullptr;
  }
  std::error_code close() override {
    const std::lock_guard guard{disk_.mutex};
    if (inode_ && inode_->lock_holder == this) inode_->lock_holder = nullptr;
    inode_.reset();
    return {};
  }

 private:
  static std::error_code closed() { return make_error_code(std::errc::bad_file_descriptor); }

  template <class Edit>
  std::error_code edit(const Edit& edit) {
    return writable_ ? change(edit) : closed();
  }
  template <class Edit>
  std::error_code change(const Edit& edit) {
    const std::lock_guard guard{disk_.mutex};
    if (!inode_) return closed();
    disk_.take_over_stores(*inode_);
    ++disk_.version;
    edit();
    return {};
  }

  /// Reports a failed sync of the file, once.
  std::error_code tell_error(Inode& inode) {
    if (told_errors_ == inode.write_errors) return {};
    told_errors_ = inode.write_errors;
    inode.write_error_is_told = true;
    return make_error_code(std::errc::io_error);
  }

  DiskState& disk_;
  InodePointer inode_;
  const bool writable_;
  std::uint64_t told_errors_;
};

}  // namespace support
