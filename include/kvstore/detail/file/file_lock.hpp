// SPDX-License-Identifier: MIT
#pragma once

// One writer per file: an advisory lock on `<file>.lock`, which contains the holder's process id. The kernel
// releases the lock when its holder dies, so a lock file that a crash left behind is simply taken over.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Ten random digits. The id of a process does not tell processes apart that run in containers of their own
/// and share a folder: there each may be process 1.
[[nodiscard]] const std::string& process_mark();

/// Holds the lock of one file during its own lifetime. The destructor removes the lock file.
class FileLock {
 public:
  /// @throws LockedError if another store, in this process or another, has the lock; StorageError if the
  /// operating system refuses.
  FileLock(FileSystem& files, std::filesystem::path file);

  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  ~FileLock();

  /// Compares the open lock file with its name. The lock belongs to an open file and moves with it, but the
  /// data are found by name. Call this before anything is written beside the lock file. @throws StorageError
  /// if the lock file's name refers to another file or to none: the lock file was removed, or its folder was
  /// exchanged
  void check_still_held();

 private:
  /// While the file is locked under its name, no other store can have taken it over. Closing the handle then
  /// unlocks it.
  void give_up();

  /// False if the lock file was removed between opening and locking: try again with the next one.
  bool take();

  /// True if the file was there, left by a crash, and is to be made anew: it belongs to another user and can
  /// be locked, but not written, or others may read it.
  bool open_lock_file();

  /// Whether others than those who may write the lock file may read it, as in earlier versions: one of them
  /// may hold it open, and lock it as soon as this process ends.
  [[nodiscard]] bool is_readable_by_others();

  /// Refuses a file that a stranger has put there, and one with a second name.
  void check_own();

  /// The lock file is emptied now and removed later, so it must really be one: empty, or a process id, or the
  /// remains of one after a power loss.
  void check_contents();

  /// Whether the lock file's name still refers to the file that is open here.
  [[nodiscard]] Result<bool> has_name();

  void remove_stale();

  void write_holder();

  /// The error for a file whose lock another store has.
  [[nodiscard]] LockedError locked();

  [[noreturn]] void fail(std::error_code error, std::string_view what) const;

  FileSystem& files_;
  std::filesystem::path file_;
  std::filesystem::path name_;
  FileRights rights_;  // of the store
  std::unique_ptr<File> handle_;
  long holder_;
  /// Whether the lock file is locked here, or was made here and no other store was seen to have it.
  bool mine_ = false;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/file_lock.ipp"
#endif
