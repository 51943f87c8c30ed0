// SPDX-License-Identifier: MIT
#pragma once

// The operating system as SQLite sees it, with calls that fail on demand.

#include <sqlite3.h>

#include <cstdint>
#include <new>

namespace support {

/// The VFS of SQLite, in which the `nth` write, sync, truncation, opening or removal from now on fails.
///
/// There can be one such VFS at a time, since SQLite knows VFSs by name. *Thread safety*: none.
class FailingVfs {
 public:
  static constexpr const char* kName = "kvstore-failing";

  FailingVfs() {
    state() = {};
    vfs_ = *::sqlite3_vfs_find(nullptr);
    state().real = ::sqlite3_vfs_find(nullptr);
    vfs_.zName = kName;
    vfs_.szOsFile = static_cast<int>(sizeof(Handle)) + state().real->szOsFile;
    vfs_.xOpen = &open;
    vfs_.xDelete = &remove;
    ::sqlite3_vfs_register(&vfs_, 0);
  }
  FailingVfs(const FailingVfs&) = delete;
  FailingVfs& operator=(const FailingVfs&) = delete;
  ~FailingVfs() { ::sqlite3_vfs_unregister(&vfs_); }

  /// `code` is SQLite's code for the failure. With `forever`, all later calls fail as well.
  static void fail(std::uint64_t nth, int code, bool forever = false) {
    state().calls = 0;
    state().nth = nth;
    state().code = code;
    state().forever = forever;
    state().failed = 0;
  }
  static void heal() {
    state().nth = 0;
    state().room = 0;
  }
  /// From now on the disk is full for every file that would grow beyond `bytes` bytes.
  static void leave_room(::sqlite3_int64 bytes) { state().room = bytes; }
  [[nodiscard]] static std::uint64_t failed() { return state().failed; }

 private:
  struct State {
    ::sqlite3_vfs* real = nullptr;
    std::uint64_t calls = 0;
    std::uint64_t nth = 0;  // 0: none fails
    std::uint64_t failed = 0;
    int code = SQLITE_OK;
    bool forever = false;
    ::sqlite3_int64 room = 0;  // 0: no limit
  };
  /// Allocated by SQLite, which puts the real file right behind.
  struct Handle {
    ::sqlite3_file base;
    ::sqlite3_io_methods methods;
  };

  static State& state() {
    static State the_state;
    return the_state;
  }
  static ::sqlite3_file* real(::sqlite3_file* file) {
    return reinterpret_cast<::sqlite3_file*>(reinterpret_cast<char*>(file) + sizeof(Handle));
  }
  static bool fails() {
    State& s = state();
    ++s.calls;
    const bool now = s.nth != 0 && (s.calls == s.nth || (s.forever && s.calls > s.nth));
    if (now) ++s.failed;
    return now;
  }

  /// The methods of the real file, with a few replaced.
  static int open(::sqlite3_vfs*, const char* name, ::sqlite3_file* file, int flags, int* out_flags) {
    auto* const handle = ::new (file) Handle{};
    if (fails()) return SQLITE_CANTOPEN;
    const int result = state().real->xOpen(state().real, name, real(file), flags, out_flags);
    if (result != SQLITE_OK || real(file)->pMethods == nullptr) return result;
    handle->methods = forwarding(real(file)->pMethods->iVersion);
    handle->base.pMethods = &handle->methods;
    return SQLITE_OK;
  }
  static int remove(::sqlite3_vfs*, const char* name, int sync_folder) {
    return fails() ? state().code : state().real->xDelete(state().real, name, sync_folder);
  }

  static ::sqlite3_io_methods forwarding(int version) {
    ::sqlite3_io_methods m{};
    m.iVersion = version < 2 ? version : 2;  // excludes memory mapping
    m.xClose = [](::sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
    m.xRead = [](::sqlite3_file* f, void* to, int bytes, ::sqlite3_int64 at) {
      return real(f)->pMethods->xRead(real(f), to, bytes, at);
    };
    m.xWrite = [](::sqlite3_file* f, const void* from, int bytes, ::sqlite3_int64 at) {
      if (state().room != 0 && at + bytes > state().room) return SQLITE_FULL;
      if (!fails()) return real(f)->pMethods->xWrite(real(f), from, bytes, at);
      real(f)->pMethods->xWrite(real(f), from, bytes / 2, at);  // torn
      return state().code;
    };
    m.xTruncate = [](::sqlite3_file* f, ::sqlite3_int64 size) {
      return fails() ? state().code : real(f)->pMethods->xTruncate(real(f), size);
    };
    m.xSync = [](::sqlite3_file* f, int flags) {
      return fails() ? state().code : real(f)->pMethods->xSync(real(f), flags);
    };
    m.xFileSize = [](::sqlite3_file* f, ::sqlite3_int64* size) {
      return real(f)->pMethods->xFileSize(real(f), size);
    };
    m.xLock = [](::sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); };
    m.xUnlock = [](::sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); };
    m.xCheckReservedLock = [](::sqlite3_file* f, int* held) {
      return real(f)->pMethods->xCheckReservedLock(real(f), held);
    };
    m.xFileControl = [](::sqlite3_file* f, int what, void* with) {
      return real(f)->pMethods->xFileControl(real(f), what, with);
    };
    m.xSectorSize = [](::sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
    m.xDeviceCharacteristics = [](::sqlite3_file* f) {
      return real(f)->pMethods->xDeviceCharacteristics(real(f));
    };
    m.xShmMap = [](::sqlite3_file* f, int page, int bytes, int extend, void volatile** at) {
      return real(f)->pMethods->xShmMap(real(f), page, bytes, extend, at);
    };
    m.xShmLock = [](::sqlite3_file* f, int offset, int n, int flags) {
      return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
    };
    m.xShmBarrier = [](::sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); };
    m.xShmUnmap = [](::sqlite3_file* f, int remove_it) {
      return real(f)->pMethods->xShmUnmap(real(f), remove_it);
    };
    return m;
  }

  ::sqlite3_vfs vfs_{};
};

}  // namespace support
