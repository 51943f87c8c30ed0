// SPDX-License-Identifier: MIT
#pragma once

// One writer per file: an advisory lock on `<file>.lock`, which contains the holder's process id. The kernel
// releases the lock when its holder dies, so a lock file that a crash left behind is simply taken over.

#include <array>
#include <charconv>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Holds the lock of one file during its own lifetime. The destructor removes the lock file.
class FileLock {
 public:
  /// @throws LockedError if another store, in this process or another, has the lock; StorageError if the
  /// operating system refuses.
  FileLock(FileSystem& files, std::filesystem::path file)
      : files_{files}, file_{std::move(file)}, name_{file_}, holder_{files.process_id()} {
    name_ += ".lock";
    try {
      while (!take()) {}
      write_holder();
    } catch (...) {
      give_up();
      throw;
    }
  }

  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  ~FileLock() {
    if (files_.process_id() != holder_) return;  // a forked child: the lock is its parent's
    give_up();
  }

  /// Compares the open lock file with its name. The lock belongs to an open file and moves with it, but the
  /// data are found by name. Call this before anything is written beside the lock file. @throws StorageError
  /// if the lock file's name refers to another file or to none: the lock file was removed, or its folder was
  /// exchanged
  void check_still_held() {
    const auto current = has_name();
    if (current.error) fail(current.error, "nothing was written: cannot look at");
    if (current.value) return;
    throw StorageError{
        file_,
        {},
        "nothing was written, because lock file " + path_text(name_) +
            " was removed, or its folder exchanged, while the store was open; another store may "
            "own what is there now: keep this one's entries by checkpoint() under another name, "
            "then open the file again"};
  }

 private:
  /// While the file is locked under its name, no other store can have taken it over. Closing the handle then
  /// unlocks it.
  void give_up() {
    if (mine_ && has_name().value) static_cast<void>(files_.remove(name_));
  }

  /// False if the lock file was removed between opening and locking: try again with the next one.
  bool take() {
    const bool foreign = open_lock_file();
    const auto error = uninterrupted([&] { return handle_->try_lock(); });
    if (error == std::errc::operation_would_block) {
      mine_ = false;
      throw LockedError{file_, read_holder()};
    }
    if (error) fail(error, "cannot lock");
    check_contents();
    mine_ = true;
    const auto current = has_name();
    if (current.error) fail(current.error, "cannot look at");
    if (current.value && foreign) remove_foreign();
    return current.value && !foreign;
  }

  /// True if the file belongs to another user and was left by a crash: it can be locked, but not written.
  bool open_lock_file() {
    auto opened = open_file(files_, name_, OpenMode::exclusive);
    mine_ = !opened.error;
    if (opened.error == std::errc::file_exists) opened = open_file(files_, name_, OpenMode::update);
    bool foreign = false;
    if (opened.error == std::errc::permission_denied) {
      auto readable = open_file(files_, name_, OpenMode::read);
      foreign = !readable.error;
      if (foreign) opened = std::move(readable);
    }
    if (opened.error) fail(opened.error, "cannot open");
    handle_ = std::move(opened.value);
    return foreign;
  }

  /// The lock file is emptied now and removed later, so it must really be one: empty, or a process id, or the
  /// remains of one after a power loss.
  void check_contents() {
    using std::string_view_literals::operator""sv;
    std::array<char, 24> text{};
    const auto got = read_full(*handle_, 0, text);
    if (got.error) fail(got.error, "cannot read");
    const std::string_view found{text.data(), got.value};
    if (found.size() < text.size() && found.find_first_not_of("0123456789\n\0"sv) == std::string_view::npos)
      return;
    fail({}, "something else than the id of a process stands in what should be, move it away:");
  }

  /// Whether the lock file's name still refers to the file that is open here.
  [[nodiscard]] Result<bool> has_name() {
    const auto mine = uninterrupted([&] { return handle_->status(); });
    if (mine.error) return {false, mine.error};
    const auto named = uninterrupted([&] { return files_.status(name_); });
    if (named.error) return {false, named.error};
    const bool exists = named.value.kind != FileKind::missing;
    return {exists && mine.value.device == named.value.device && mine.value.inode == named.value.inode, {}};
  }

  void remove_foreign() {
    if (const auto error = files_.remove(name_)) fail(error, "cannot remove another user's stale");
  }

  void write_holder() {
    if (const auto error = uninterrupted([&] { return handle_->truncate(0); })) fail(error, "cannot write");
    // A full disk is no reason to refuse: the id only improves the other store's message.
    static_cast<void>(write_all(*handle_, 0, std::to_string(holder_) + "\n"));
  }

  [[nodiscard]] long read_holder() {
    std::array<char, 24> text{};
    const auto got = read_full(*handle_, 0, text);
    long holder = 0;
    if (!got.error) std::from_chars(text.data(), text.data() + got.value, holder);
    return holder;
  }

  [[noreturn]] void fail(std::error_code error, std::string_view what) const {
    throw StorageError{file_, error, std::string{what} + " lock file " + path_text(name_)};
  }

  FileSystem& files_;
  std::filesystem::path file_;
  std::filesystem::path name_;
  std::unique_ptr<File> handle_;
  long holder_;
  /// Whether the lock file is locked here, or was made here and no other store was seen to have it.
  bool mine_ = false;
};

}}}  // namespace kvstore::v1::detail
