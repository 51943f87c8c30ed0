// SPDX-License-Identifier: MIT
#pragma once

// A file system in memory that knows what a disk may do when the power goes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file_system.hpp"
#include "support/simulated_crash.hpp"
#include "support/simulated_file.hpp"
#include "support/simulated_folder.hpp"

namespace support {

/// How a disk behaves.
struct DiskModel {
  std::size_t sector = 512;     ///< bytes that are written whole or not at all
  bool can_allocate = true;     ///< whether space can be reserved
  long process_id = 1000;       ///< of the process that uses it
  std::string folder = "/sim";  ///< there from the start
};

/// A disk in memory: what is synced survives power loss; of everything else any set of pieces may (see
/// `Inode` and `Folder`). Syncing a file does not sync its name. No symbolic links, no file systems in
/// between that would keep an order: what holds here holds on any disk that honours flushes. Safe for several
/// threads; outlives the files opened on it.
///
/// ```cpp
/// support::SimulatedDisk disk;
/// kvstore::JsonFile storage{"/sim/data.json", disk};
/// for (const support::DiskImage& image : disk.crash_states({})) { support::SimulatedDisk next{image}; … }
/// ```
class SimulatedDisk : public kvstore::detail::FileSystem {
 public:
  template <class Value>
  using Result = kvstore::detail::Result<Value>;
  using Path = std::filesystem::path;

  /// Mounts what is on `image`.
  explicit SimulatedDisk(const DiskImage& image = {}, DiskModel model = {}) : model_{std::move(model)} {
    folders_[model_.folder];
    for (const auto& [path, text] : image) {
      auto inode = new_inode(0644);
      inode->live = inode->synced = text;
      Folder& folder = folders_[Path{path}.parent_path().string()];
      folder.live[Path{path}.filename().string()] = inode;
      folder.synced = folder.live;
    }
  }

  // What tests do with it
  // --------------------------------------------------------------------------------------------------

  /// What power loss at this moment may leave, each state once, as far as `sampling` goes.
  [[nodiscard]] std::vector<DiskImage> crash_states(const CrashSampling& sampling) const {
    const std::lock_guard guard{mutex_};
    const auto build = [this](CrashChoices& choices) { return after_loss(choices); };
    CrashEnumeration enumeration{build};
    if (uncertain() <= sampling.exhaustive_bits) return enumeration.all();
    return enumeration.sample(sampling);
  }

  /// The disk as a process killed at this moment leaves it: all that was written is there, not synced any
  /// more than before, and the locks are free. The files opened on this one do not touch it.
  [[nodiscard]] std::unique_ptr<SimulatedDisk> after_kill() const {
    const std::lock_guard guard{mutex_};
    auto copy = std::make_unique<SimulatedDisk>(DiskImage{}, model_);
    std::map<const Inode*, InodePointer> copies;
    const auto copy_of = [&](const InodePointer& inode) {
      InodePointer& made = copies[inode.get()];
      if (!made) made = std::make_shared<Inode>(*inode);
      made->lock_holder = nullptr;
      return made;
    };
    copy->folders_ = folders_;
    copy->inodes_ = inodes_;
    for (auto& [path, folder] : copy->folders_) {
      for (auto& [name, inode] : folder.live) inode = copy_of(inode);
      for (auto& [name, inode] : folder.synced) inode = copy_of(inode);
      for (NameChange& change : folder.changes) change.inode = copy_of(change.inode);
    }
    return copy;
  }

  /// What programs see, synced or not.
  [[nodiscard]] DiskImage visible() const {
    const std::lock_guard guard{mutex_};
    DiskImage image;
    for (const auto& [path, folder] : folders_) {
      for (const auto& [name, inode] : folder.live) {
        SparseText& text = image[path + '/' + name] = inode->live;
        text.normalise();
      }
    }
    return image;
  }

  /// Lets the `nth` sync of a file or folder from now on fail and drop what it should have written; later
  /// ones succeed, without writing that.
  void fail_sync(std::uint64_t nth) {
    const std::lock_guard guard{mutex_};
    syncs_until_failure_ = nth;
  }
  /// Whether the sync that `fail_sync` named is still to come.
  [[nodiscard]] bool sync_failure_pending() const {
    const std::lock_guard guard{mutex_};
    return syncs_until_failure_ != 0;
  }

  /// Differs whenever the states that a crash may leave may differ.
  [[nodiscard]] std::uint64_t version() const {
    const std::lock_guard guard{mutex_};
    return version_;
  }

  // What programs do with it
  // -----------------------------------------------------------------------------------------------

  Result<std::unique_ptr<kvstore::detail::File>> open(const Path& path, kvstore::detail::OpenMode mode,
                                                      std::uint32_t permissions) override;

  Result<kvstore::detail::FileStatus> status(const Path& path) override {
    const std::lock_guard guard{mutex_};
    if (folders_.contains(path.string())) return {{.kind = kvstore::detail::FileKind::folder}, {}};
    const InodePointer inode = find(path);
    if (!inode) return {};
    return {status_of(*inode), {}};
  }

  Result<Path> read_link(const Path& path) override {
    const std::lock_guard guard{mutex_};
    const bool exists = folders_.contains(path.string()) || find(path);
    return {{}, make_error_code(exists ? std::errc::invalid_argument : std::errc::no_such_file_or_directory)};
  }

  std::error_code rename(const Path& from, const Path& to) override {
    const std::lock_guard guard{mutex_};
    const InodePointer inode = find(from);
    if (!inode) return make_error_code(std::errc::no_such_file_or_directory);
    if (from.parent_path() != to.parent_path()) return make_error_code(std::errc::not_supported);
    if (find(to) == inode) return {};
    change(from, {NameChange::Kind::move, from.filename().string(), to.filename().string(), inode});
    return {};
  }

  std::error_code remove(const Path& path) override {
    const std::lock_guard guard{mutex_};
    const InodePointer inode = find(path);
    if (!inode) return make_error_code(std::errc::no_such_file_or_directory);
    change(path, {NameChange::Kind::drop, path.filename().string(), {}, inode});
    return {};
  }

  std::error_code sync_folder(const Path& path) override {
    const std::lock_guard guard{mutex_};
    const auto folder = folders_.find(path.string());
    if (folder == folders_.end()) return make_error_code(std::errc::no_such_file_or_directory);
    return sync(folder->second);
  }

  std::error_code check_writable(const Path& path) override {
    const std::lock_guard guard{mutex_};
    const bool exists = folders_.contains(path.string());
    return exists ? std::error_code{} : make_error_code(std::errc::no_such_file_or_directory);
  }

  Result<Path> current_folder() override { return {Path{model_.folder}, {}}; }
  [[nodiscard]] long process_id() override { return model_.process_id; }

 private:
  friend class SimulatedFile;

  InodePointer new_inode(std::uint32_t mode) {
    return std::make_shared<Inode>(Inode{.id = ++inodes_, .mode = mode, .live = {}, .synced = {}});
  }

  [[nodiscard]] InodePointer find(const Path& path) const {
    const auto folder = folders_.find(path.parent_path().string());
    if (folder == folders_.end()) return nullptr;
    const auto found = folder->second.live.find(path.filename().string());
    return found == folder->second.live.end() ? nullptr : found->second;
  }

  void change(const Path& path, NameChange change) {
    ++version_;
    folders_.at(path.parent_path().string()).change(std::move(change));
  }

  template <class FileOrFolder>
  std::error_code sync(FileOrFolder& what) {
    ++version_;
    const bool fails = syncs_until_failure_ != 0 && --syncs_until_failure_ == 0;
    what.sync(!fails);
    return fails ? make_error_code(std::errc::io_error) : std::error_code{};
  }

  [[nodiscard]] static kvstore::detail::FileStatus status_of(const Inode& inode) {
    return {.kind = kvstore::detail::FileKind::regular,
            .size = inode.live.size,
            .mode = inode.mode,
            .owner = inode.owner,
            .group = inode.group,
            .device = 1,
            .inode = inode.id};
  }

  [[nodiscard]] DiskImage after_loss(CrashChoices& choices) const {
    DiskImage image;
    for (const auto& [path, folder] : folders_) {
      for (const auto& [name, inode] : folder.after_loss(choices)) {
        image[path + '/' + name] = inode->after_loss(choices);
      }
    }
    return image;
  }

  /// At least as many as the questions that `after_loss` may ask.
  [[nodiscard]] std::size_t uncertain() const {
    std::size_t count = 0;
    std::set<const Inode*> inodes;
    for (const auto& [path, folder] : folders_) {
      for (const auto& [name, inode] : folder.synced) inodes.insert(inode.get());
      for (const NameChange& change : folder.changes) inodes.insert(change.inode.get());
      count += uncertain(folder.changes);
    }
    for (const Inode* inode : inodes) count += uncertain(inode->changes);
    return count;
  }
  template <class Change>
  [[nodiscard]] static std::size_t uncertain(const std::vector<Change>& changes) {
    const auto open = [](const Change& change) { return change.fate != Fate::kept; };
    return static_cast<std::size_t>(std::count_if(changes.begin(), changes.end(), open));
  }

  const DiskModel model_;
  mutable std::mutex mutex_;  // guards what follows, and all inodes
  std::map<std::string, Folder> folders_;
  std::uint64_t inodes_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t syncs_until_failure_ = 0;  // 0: none fails
};

/// An open file of a `SimulatedDisk`; it lives on when its name is gone.
class SimulatedFile : public kvstore::detail::File {
 public:
  template <class Value>
  using Result = kvstore::detail::Result<Value>;

  SimulatedFile(SimulatedDisk& disk, InodePointer inode, bool writable)
      : disk_{disk}, inode_{std::move(inode)}, writable_{writable} {}
  SimulatedFile(const SimulatedFile&) = delete;
  SimulatedFile& operator=(const SimulatedFile&) = delete;
  ~SimulatedFile() override { static_cast<void>(close()); }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    const std::lock_guard guard{disk_.mutex_};
    if (!inode_) return {0, closed()};
    return {inode_->live.read(offset, out), {}};
  }
  Result<std::size_t> write_at(std::uint64_t offset, std::string_view text) override {
    const auto error = edit([&] { inode_->write(offset, text, disk_.model_.sector); });
    return {error ? 0 : text.size(), error};
  }
  std::error_code sync() override {
    const std::lock_guard guard{disk_.mutex_};
    return inode_ ? disk_.sync(*inode_) : closed();
  }
  std::error_code truncate(std::uint64_t size) override {
    if (!writable_) return make_error_code(std::errc::invalid_argument);
    return edit([&] { inode_->resize(size); });
  }
  std::error_code allocate(std::uint64_t offset, std::uint64_t bytes) override {
    if (!disk_.model_.can_allocate) return make_error_code(std::errc::operation_not_supported);
    return edit([&] { inode_->resize(std::max(inode_->live.size, offset + bytes)); });
  }
  Result<kvstore::detail::FileStatus> status() override {
    const std::lock_guard guard{disk_.mutex_};
    if (!inode_) return {{}, closed()};
    return {SimulatedDisk::status_of(*inode_), {}};
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
    const std::lock_guard guard{disk_.mutex_};
    if (!inode_) return closed();
    if (inode_->lock_holder != nullptr && inode_->lock_holder != this) {
      return make_error_code(std::errc::operation_would_block);
    }
    inode_->lock_holder = this;
    return {};
  }
  std::error_code close() override {
    const std::lock_guard guard{disk_.mutex_};
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
    const std::lock_guard guard{disk_.mutex_};
    if (!inode_) return closed();
    ++disk_.version_;
    edit();
    return {};
  }

  SimulatedDisk& disk_;
  InodePointer inode_;
  const bool writable_;
};

inline kvstore::detail::Result<std::unique_ptr<kvstore::detail::File>> SimulatedDisk::open(
    const Path& path, kvstore::detail::OpenMode mode, std::uint32_t permissions) {
  using kvstore::detail::OpenMode;
  const std::lock_guard guard{mutex_};
  if (folders_.contains(path.string())) return {nullptr, make_error_code(std::errc::is_a_directory)};
  InodePointer inode = find(path);
  if (inode && mode == OpenMode::exclusive) return {nullptr, make_error_code(std::errc::file_exists)};
  if (!inode) {
    const bool has_folder = folders_.contains(path.parent_path().string());
    if (mode == OpenMode::read || !has_folder) {
      return {nullptr, make_error_code(std::errc::no_such_file_or_directory)};
    }
    inode = new_inode(permissions & ~std::uint32_t{022});
    change(path, {NameChange::Kind::make, path.filename().string(), {}, inode});
  }
  if (mode == OpenMode::truncate) {
    ++version_;
    inode->resize(0);
  }
  return {std::make_unique<SimulatedFile>(*this, std::move(inode), mode != OpenMode::read), {}};
}

}  // namespace support
