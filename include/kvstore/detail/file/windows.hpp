// SPDX-License-Identifier: MIT
#pragma once

// The files of Windows.
//
// *Durability*. `sync` is FlushFileBuffers, which writes out the file's data, its metadata and the disk's own
// cache. A folder cannot be synced: no documented call does that without an administrator's rights. Instead a
// rename is written through ("Caching Behavior" in Microsoft's page on CreateFileW: FILE_FLAG_WRITE_THROUGH
// "also causes NTFS to flush any metadata changes, such as [...] a rename operation"; MoveFileExW:
// MOVEFILE_WRITE_THROUGH). Names merely made or removed rely on the order of NTFS's own log.
//
// *Names in use*. All files are opened for sharing, deletion included. Replacing or removing a file that
// another program has open needs POSIX semantics (Windows 10 1607 on NTFS; FILE_RENAME_INFORMATION and
// FILE_DISPOSITION_INFORMATION_EX in the driver documentation). Without these, on FAT or in Wine, and against
// virus scanners and indexers that share less, a call is repeated for a second before it is reported.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/windows_api.hpp"  // IWYU pragma: keep, empty elsewhere

#ifdef _WIN32

namespace kvstore { inline namespace v1 { namespace detail {

inline constexpr ::DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// Opens an existing file for one call. @returns an empty handle on failure; GetLastError has the reason
inline WindowsHandle windows_open(const std::filesystem::path& path, ::DWORD access, ::DWORD flags) {
  return WindowsHandle{
      ::CreateFileW(path.c_str(), access, kShareAll, nullptr, OPEN_EXISTING, flags, nullptr)};
}

/// Converts a count of 100 ns since 1601 to nanoseconds since 1970; 0 stays 0.
inline std::int64_t windows_time(const ::FILETIME& time) {
  constexpr std::int64_t kUnixEpoch = 116'444'736'000'000'000;
  const auto ticks = (std::int64_t{time.dwHighDateTime} << 32) | std::int64_t{time.dwLowDateTime};
  return ticks == 0 ? 0 : (ticks - kUnixEpoch) * 100;
}

/// Mode and owner are 0 for every file, so nothing is copied from a replaced file: access control lists come
/// from the folder.
inline Result<FileStatus> windows_status(::HANDLE handle) {
  FileStatus status;
  if (::GetFileType(handle) != FILE_TYPE_DISK) {
    status.kind = FileKind::other;
    return {status, {}};
  }
  ::BY_HANDLE_FILE_INFORMATION found{};
  if (::GetFileInformationByHandle(handle, &found) == 0) return {{}, windows_error(::GetLastError())};
  const bool folder = (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  status.kind = folder ? FileKind::folder : FileKind::regular;
  status.size = (std::uint64_t{found.nFileSizeHigh} << 32) | found.nFileSizeLow;
  status.device = found.dwVolumeSerialNumber;
  status.inode = (std::uint64_t{found.nFileIndexHigh} << 32) | found.nFileIndexLow;
  status.modified = windows_time(found.ftLastWriteTime);
  status.links = found.nNumberOfLinks;
  return {status, {}};
}

/// The `_at` calls are overlapped calls that are waited for: a handle without FILE_FLAG_OVERLAPPED takes one
/// call at a time, so a write would wait for a sync.
///
/// Files are never mapped (`map` returns EOPNOTSUPP, and journals are written by calls). A sync would need
/// FlushViewOfFile and FlushFileBuffers, and while a view is open Windows refuses to truncate or replace the
/// file.
class WindowsFile final : public File {
 public:
  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    auto got = transfer(offset, [&](::OVERLAPPED* at) {
      return ::ReadFile(handle_.get(), out.data(), at_once(out.size()), nullptr, at);
    });
    if (got.error == windows_error(ERROR_HANDLE_EOF)) got.error.clear();
    return got;
  }

  Result<std::size_t> write_at(std::uint64_t offset, std::string_view text) override {
    return transfer(offset, [&](::OVERLAPPED* at) {
      return ::WriteFile(handle_.get(), text.data(), at_once(text.size()), nullptr, at);
    });
  }

  std::error_code sync() override {
    return windows_error(windows_outcome(::FlushFileBuffers(handle_.get())));
  }

  std::error_code truncate(std::uint64_t size) override {
    ::FILE_END_OF_FILE_INFO end{};
    end.EndOfFile.QuadPart = static_cast<::LONGLONG>(size);
    return windows_error(
        windows_outcome(::SetFileInformationByHandle(handle_.get(), FileEndOfFileInfo, &end, sizeof end)));
  }

  /// Growing a file reserves its clusters, except in sparse and compressed files.
  std::error_code allocate(std::uint64_t offset, std::uint64_t bytes) override {
    const auto now = status();
    if (now.error) return now.error;
    return now.value.size >= offset + bytes ? std::error_code{} : truncate(offset + bytes);
  }

  Result<FileStatus> status() override { return windows_status(handle_.get()); }
  std::error_code set_mode(std::uint32_t) override { return {}; }
  std::error_code set_owner(std::uint32_t, std::uint32_t) override { return {}; }

  std::error_code try_lock() override {
    ::OVERLAPPED at = lock_place();
    constexpr ::DWORD kAtOnce = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    const auto code = windows_outcome(::LockFileEx(handle_.get(), kAtOnce, 0, 1, 0, &at));
    // On a handle for overlapped calls, a lock held by another is reported as pending, without a wait.
    if (code == ERROR_IO_PENDING) return windows_error(ERROR_LOCK_VIOLATION);
    locked_ = code == 0;
    return windows_error(code);
  }

  /// The system unlocks a closed file by itself, but the time, LockFileEx's page says, "depends upon
  /// available system resources".
  void unlock() noexcept override {
    ::OVERLAPPED at = lock_place();
    if (std::exchange(locked_, false)) ::UnlockFileEx(handle_.get(), 0, 1, 0, &at);
  }

  std::error_code close() override {
    unlock();
    if (!handle_.is_open()) return {};
    return windows_error(windows_outcome(::CloseHandle(handle_.release())));
  }

  ~WindowsFile() override { unlock(); }

  std::error_code open(const std::filesystem::path& path, OpenMode mode) {
    const bool writes = mode != OpenMode::read;
    const ::DWORD access = writes ? GENERIC_READ | GENERIC_WRITE : GENERIC_READ;
    const ::DWORD how = mode == OpenMode::exclusive ? CREATE_NEW : writes ? OPEN_ALWAYS : OPEN_EXISTING;
    const auto error = windows_patiently(
        [&] {
          handle_ = WindowsHandle{::CreateFileW(path.c_str(), access, kShareAll, nullptr, how,
                                                FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED, nullptr)};
          return windows_outcome(handle_.is_open());
        },
        writes ? held_by_others : [](::DWORD code) { return code == ERROR_SHARING_VIOLATION; });
    if (error || mode != OpenMode::truncate) return error;
    return truncate(0);
  }

 private:
  /// Beyond any content: Windows' locks also keep others from reading, and others must be able to read the
  /// holder's id.
  static ::OVERLAPPED lock_place() {
    ::OVERLAPPED at{};
    at.Offset = 0xFFFF'FFFE;
    at.OffsetHigh = 0x7FFF'FFFF;
    return at;
  }

  static ::DWORD at_once(std::size_t bytes) {
    return static_cast<::DWORD>(std::min(bytes, std::size_t{1} << 30));
  }

  template <class Call>
  Result<std::size_t> transfer(std::uint64_t offset, const Call& call) {
    const WindowsHandle done{::CreateEventW(nullptr, TRUE, FALSE, nullptr)};
    ::OVERLAPPED at{};
    at.Offset = static_cast<::DWORD>(offset);
    at.OffsetHigh = static_cast<::DWORD>(offset >> 32);
    at.hEvent = done.get();
    if (const auto code = windows_outcome(call(&at)); code != 0 && code != ERROR_IO_PENDING)
      return {0, windows_error(code)};
    ::DWORD bytes = 0;
    if (::GetOverlappedResult(handle_.get(), &at, &bytes, TRUE) == 0)
      return {0, windows_error(::GetLastError())};
    return {bytes, {}};
  }

  WindowsHandle handle_;
  bool locked_ = false;
};

class WindowsFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode,
                                     std::uint32_t /*permissions*/) override {
    auto file = std::make_unique<WindowsFile>();
    if (mode != OpenMode::read && is_link(path)) return {nullptr, windows_error(ERROR_CANT_RESOLVE_FILENAME)};
    const auto error = file->open(path, mode);
    if (error) return {nullptr, error};
    return {std::move(file), {}};
  }

  Result<FileStatus> status(const std::filesystem::path& path) override {
    // FILE_FLAG_BACKUP_SEMANTICS: folders too.
    const auto handle = windows_open(path, FILE_READ_ATTRIBUTES, FILE_FLAG_BACKUP_SEMANTICS);
    if (handle.is_open()) return windows_status(handle.get());
    const auto error = windows_error(::GetLastError());
    if (error == std::errc::no_such_file_or_directory) return {};
    return {{}, error};
  }

  /// A link to a file is refused with EOPNOTSUPP, so a save neither follows nor replaces it. Links to folders
  /// on the way are left to Windows.
  Result<std::filesystem::path> read_link(const std::filesystem::path& path) override {
    if (is_link(path)) return {{}, windows_error(ERROR_NOT_SUPPORTED)};
    if (::GetFileAttributesW(path.c_str()) == INVALID_FILE_ATTRIBUTES)
      return {{}, windows_error(::GetLastError())};
    return {{}, std::make_error_code(std::errc::invalid_argument)};
  }

  std::error_code rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return windows_patiently([&] {
      const ::DWORD code = rename_open_too(from, to);
      if (!unknown_here(code)) return code;
      constexpr ::DWORD kReplace = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
      return windows_outcome(::MoveFileExW(from.c_str(), to.c_str(), kReplace));
    });
  }

  std::error_code remove(const std::filesystem::path& path) override {
    return windows_patiently([&] {
      const ::DWORD code = remove_open_too(path);
      return unknown_here(code) ? windows_outcome(::DeleteFileW(path.c_str())) : code;
    });
  }

  /// Only checks that the folder exists: see above.
  std::error_code sync_folder(const std::filesystem::path& folder) override {
    const auto found = status(folder);
    if (found.error) return found.error;
    if (found.value.kind == FileKind::missing) return windows_error(ERROR_PATH_NOT_FOUND);
    return found.value.kind == FileKind::folder ? std::error_code{} : windows_error(ERROR_DIRECTORY);
  }

  std::error_code check_writable(const std::filesystem::path& folder) override {
    const auto handle = windows_open(folder, FILE_ADD_FILE | FILE_TRAVERSE, FILE_FLAG_BACKUP_SEMANTICS);
    return windows_error(windows_outcome(handle.is_open()));
  }

  Result<std::filesystem::path> current_folder() override {
    std::error_code error;
    auto folder = std::filesystem::current_path(error);
    return {std::move(folder), error};
  }

  [[nodiscard]] long process_id() override { return static_cast<long>(::GetCurrentProcessId()); }

 private:
  // From FILE_INFO_BY_HANDLE_CLASS and its flags, which headers for older releases of Windows lack.
  static constexpr auto kDispositionEx = static_cast<::FILE_INFO_BY_HANDLE_CLASS>(21);
  static constexpr auto kRenameEx = static_cast<::FILE_INFO_BY_HANDLE_CLASS>(22);
  static constexpr ::DWORD kDelete = 0x1;
  static constexpr ::DWORD kReplaceExisting = 0x1;
  static constexpr ::DWORD kPosixSemantics = 0x2;

  /// FILE_RENAME_INFO as defined since Windows 10 1607, up to the name.
  struct RenameInfo {
    ::DWORD flags;
    ::HANDLE root;
    ::DWORD name_bytes;
  };
  static_assert(offsetof(RenameInfo, name_bytes) == offsetof(::FILE_RENAME_INFO, FileNameLength));

  static bool unknown_here(::DWORD code) {
    return code == ERROR_INVALID_PARAMETER || code == ERROR_INVALID_FUNCTION || code == ERROR_NOT_SUPPORTED ||
           code == ERROR_CALL_NOT_IMPLEMENTED;
  }

  static bool is_link(const std::filesystem::path& path) {
    ::WIN32_FIND_DATAW found{};
    const ::DWORD attributes = ::GetFileAttributesW(path.c_str());
    if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0)
      return false;
    const ::HANDLE search = ::FindFirstFileW(path.c_str(), &found);
    if (search == INVALID_HANDLE_VALUE) return false;
    ::FindClose(search);
    return found.dwReserved0 ==
           IO_REPARSE_TAG_SYMLINK;  // others, such as a cloud's, stand for the file itself
  }

  static ::DWORD rename_open_too(const std::filesystem::path& from, const std::filesystem::path& to) {
    constexpr std::size_t kName = offsetof(::FILE_RENAME_INFO, FileName);
    const auto& name = to.native();
    const std::size_t name_bytes = name.size() * sizeof(wchar_t);
    std::vector<char> buffer(kName + name_bytes + sizeof(wchar_t));  // with a final zero
    const RenameInfo info{.flags = kReplaceExisting | kPosixSemantics,
                          .root = nullptr,
                          .name_bytes = static_cast<::DWORD>(name_bytes)};
    std::memcpy(buffer.data(), &info, kName);
    std::memcpy(buffer.data() + kName, name.data(), name_bytes);
    const auto file =
        windows_open(from, DELETE | SYNCHRONIZE, FILE_FLAG_WRITE_THROUGH | FILE_FLAG_OPEN_REPARSE_POINT);
    if (!file.is_open()) return ::GetLastError();
    return windows_outcome(::SetFileInformationByHandle(file.get(), kRenameEx, buffer.data(),
                                                        static_cast<::DWORD>(buffer.size())));
  }

  static ::DWORD remove_open_too(const std::filesystem::path& path) {
    const auto file = windows_open(path, DELETE, FILE_FLAG_OPEN_REPARSE_POINT);
    if (!file.is_open()) return ::GetLastError();
    ::DWORD flags = kDelete | kPosixSemantics;
    return windows_outcome(::SetFileInformationByHandle(file.get(), kDispositionEx, &flags, sizeof flags));
  }
};

}}}  // namespace kvstore::v1::detail

#endif
