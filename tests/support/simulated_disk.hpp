// SPDX-License-Identifier: MIT
#pragma once

// A file system in memory that knows the states in which power loss may leave a disk.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "support/simulated_crash.hpp"
#include "support/simulated_file.hpp"
#include "support/simulated_folder.hpp"
#include "support/simulated_open_file.hpp"

namespace support {

/// A disk in memory. Synced data survives power loss; of everything else, any set of pieces may survive (see
/// `Inode` and `Folder`). Syncing a file does not sync its name. There are no symbolic links, and no ordering
/// guarantees of a file system: a store that is safe here is safe on any disk that honours flushes. *Thread
/// safety*: safe for several threads, except for stores into mappings, which become visible at the next call.
/// The disk outlives the files opened on it, and their mappings.
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

  /// Mounts a disk with the contents of `image`.
  explicit SimulatedDisk(const DiskImage& image = {}, DiskModel model = {}) : state_{std::move(model)} {
    folders_[state_.model.folder];
    for (const auto& [path, text] : image) {
      auto inode = new_inode(0644);
      inode->live = inode->synced = text;
      Folder& folder = folders_[Path{path}.parent_path().string()];
      folder.live[Path{path}.filename().string()] = inode;
      folder.synced = folder.live;
    }
  }

  // For tests ------------------------------------------------------------------------------------

  /// The states that power loss at this moment may leave, each of them once, as far as `sampling` goes.
  [[nodiscard]] std::vector<DiskImage> crash_states(const CrashSampling& sampling) const {
    const std::lock_guard guard{state_.mutex};
    state_.take_over_stores();
    const auto build = [this](CrashChoices& choices) { return after_loss(choices); };
    CrashEnumeration enumeration{build};
    if (uncertain() <= sampling.exhaustive_bits) return enumeration.all();
    return enumeration.sample(sampling);
  }

  /// The least that power loss at this moment may leave: the certain contents.
  [[nodiscard]] DiskImage certain() const {
    const std::lock_guard guard{state_.mutex};
    state_.take_over_stores();
    CrashChoices nothing{[](std::size_t) { return false; }};
    return after_loss(nothing);
  }

  /// The disk that remains if the process is killed at this moment. Everything written is there, but no more
  /// of it is synced than before, and the locks are free. Files that are open on this disk do not affect the
  /// new one.
  [[nodiscard]] std::unique_ptr<SimulatedDisk> after_kill() const {
    const std::lock_guard guard{state_.mutex};
    state_.take_over_stores();
    auto copy = std::make_unique<SimulatedDisk>(DiskImage{}, state_.model);
    std::map<const Inode*, InodePointer> copies;
    const auto copy_of = [&](const InodePointer& inode) {
      InodePointer& made = copies[inode.get()];
      if (!made) made = std::make_shared<Inode>(*inode);
      made->lock_holder = nullptr;
      made->mapped.clear();
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

  /// The contents that programs see, synced or not.
  [[nodiscard]] DiskImage visible() const {
    const std::lock_guard guard{state_.mutex};
    state_.take_over_stores();
    DiskImage image;
    for (const auto& [path, folder] : folders_) {
      for (const auto& [name, inode] : folder.live) {
        SparseText& text = image[path + '/' + name] = inode->live;
        text.normalise();
      }
    }
    return image;
  }

  /// Lets the `nth` sync of a file or folder from now on fail and drop the bytes that it should have written.
  /// Later syncs succeed without writing those bytes. The failure is reported once to each open file of that
  /// inode, as on Linux (errseq_t). Of two simultaneous syncs of one open file, the one that ends first
  /// reports it.
  void fail_sync(std::uint64_t nth) {
    const std::lock_guard guard{state_.mutex};
    state_.syncs_until_failure = nth;
  }
  /// Whether the sync that `fail_sync` named has not yet come.
  [[nodiscard]] bool sync_failure_pending() const {
    const std::lock_guard guard{state_.mutex};
    return state_.syncs_until_failure != 0;
  }

  /// Runs `hook` in the middle of each sync of a file, under no lock. A sync covers the writes before its
  /// begin, and makes nothing certain before its end. Set the hook before other threads use this object.
  void during_sync(std::function<void()> hook) { state_.during_sync = std::move(hook); }

  /// A number that changes whenever the states that a crash may leave may have changed.
  [[nodiscard]] std::uint64_t version() const {
    const std::lock_guard guard{state_.mutex};
    state_.take_over_stores();
    return state_.version;
  }
  /// The number of present mappings.
  [[nodiscard]] std::size_t mappings() const {
    const std::lock_guard guard{state_.mutex};
    return state_.mapped.size();
  }

  // For programs ---------------------------------------------------------------------------------

  Result<std::unique_ptr<kvstore::detail::File>> open(const Path& path, kvstore::detail::OpenMode mode,
                                                      std::uint32_t permissions) override {
    using kvstore::detail::OpenMode;
    const std::lock_guard guard{state_.mutex};
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
      state_.take_over_stores(*inode);
      ++state_.version;
      inode->resize(0);
    }
    return {std::make_unique<SimulatedFile>(state_, std::move(inode), mode != OpenMode::read), {}};
  }

  Result<kvstore::detail::FileStatus> status(const Path& path) override {
    const std::lock_guard guard{state_.mutex};
    if (folders_.contains(path.string())) return {{.kind = kvstore::detail::FileKind::folder}, {}};
    const InodePointer inode = find(path);
    if (!inode) return {};
    return {status_of(*inode), {}};
  }

  Result<Path> read_link(const Path& path) override {
    const std::lock_guard guard{state_.mutex};
    const bool exists = folders_.contains(path.string()) || find(path);
    return {{}, make_error_code(exists ? std::errc::invalid_argument : std::errc::no_such_file_or_directory)};
  }

  std::error_code rename(const Path& from, const Path& to) override {
    const std::lock_guard guard{state_.mutex};
    const InodePointer inode = find(from);
    if (!inode) return make_error_code(std::errc::no_such_file_or_directory);
    if (from.parent_path() != to.parent_path()) return make_error_code(std::errc::not_supported);
    if (find(to) == inode) return {};
    change(from, {NameChange::Kind::move, from.filename().string(), to.filename().string(), inode});
    return {};
  }

  std::error_code remove(const Path& path) override {
    const std::lock_guard guard{state_.mutex};
    const InodePointer inode = find(path);
    if (!inode) return make_error_code(std::errc::no_such_file_or_directory);
    change(path, {NameChange::Kind::drop, path.filename().string(), {}, inode});
    return {};
  }

  std::error_code sync_folder(const Path& path) override {
    const std::lock_guard guard{state_.mutex};
    const auto folder = folders_.find(path.string());
    if (folder == folders_.end()) return make_error_code(std::errc::no_such_file_or_directory);
    ++state_.version;
    const bool fails = state_.next_sync_fails();
    folder->second.sync(!fails);
    return fails ? make_error_code(std::errc::io_error) : std::error_code{};
  }

  std::error_code check_writable(const Path& path) override {
    const std::lock_guard guard{state_.mutex};
    const bool exists = folders_.contains(path.string());
    return exists ? std::error_code{} : make_error_code(std::errc::no_such_file_or_directory);
  }

  Result<Path> current_folder() override { return {Path{state_.model.folder}, {}}; }
  [[nodiscard]] long process_id() override { return state_.model.process_id; }

 private:
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
    ++state_.version;
    folders_.at(path.parent_path().string()).change(std::move(change));
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

  /// An upper bound for the number of questions that `after_loss` asks.
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

  mutable DiskState state_;
  std::map<std::string, Folder> folders_;  // guarded by the mutex of state_, as all inodes are
  std::uint64_t inodes_ = 0;
};

}  // namespace support
