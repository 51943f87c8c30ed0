// SPDX-License-Identifier: MIT
#pragma once

// The files of Linux. Of the headers of the local stores, the only one that calls the operating system for
// them.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/file_system.hpp"

#ifndef _WIN32

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace kvstore { inline namespace v1 { namespace detail {

static_assert(sizeof(::off_t) >= 8, "compile with -D_FILE_OFFSET_BITS=64: files outgrow 2 GiB");

inline std::error_code posix_error() { return {errno, std::generic_category()}; }

inline std::error_code posix_outcome(int result) { return result == 0 ? std::error_code{} : posix_error(); }

inline Result<std::size_t> posix_transfer(::ssize_t bytes) {
  if (bytes < 0) return {0, posix_error()};
  return {static_cast<std::size_t>(bytes), {}};
}

inline FileKind posix_kind(::mode_t mode) {
  if (S_ISREG(mode)) return FileKind::regular;
  return S_ISDIR(mode) ? FileKind::folder : FileKind::other;
}

inline FileStatus posix_status(const struct ::stat& status) {
  return {.kind = posix_kind(status.st_mode),
          .size = static_cast<std::uint64_t>(status.st_size),
          .mode = static_cast<std::uint32_t>(status.st_mode & 07777),
          .owner = status.st_uid,
          .group = status.st_gid,
          .device = status.st_dev,
          .inode = status.st_ino,
          .modified = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec,
          .links = status.st_nlink};
}

/// `File::identity` of a descriptor with an empty path, or of a path. ENOSYS where only `stat` is to be had.
inline Result<FileStatus> posix_identity([[maybe_unused]] int descriptor, [[maybe_unused]] const char* path) {
#ifdef STATX_INO
  struct ::statx status{};  // NOLINT(misc-include-cleaner): <sys/stat.h> has all of it
  constexpr unsigned kWanted = STATX_TYPE | STATX_SIZE | STATX_INO;  // NOLINT(misc-include-cleaner)
  const int flags = *path == '\0' ? AT_EMPTY_PATH : 0;
  if (::statx(descriptor, path, flags, kWanted, &status) != 0) return {{}, posix_error()};
  return {{.kind = posix_kind(status.stx_mode),
           .size = status.stx_size,
           .device = ::makedev(status.stx_dev_major, status.stx_dev_minor),
           .inode = status.stx_ino},
          {}};
#else
  return {{}, std::make_error_code(std::errc::function_not_supported)};
#endif
}
inline bool lacks_statx(const std::error_code& error) noexcept {
  return error == std::errc::function_not_supported || error == std::errc::operation_not_permitted;
}

/// `open`, but never as descriptor 0, 1 or 2. If a program has closed them, the next file that it opens gets
/// their number: text printed later, also to standard error, would land in a file of ours.
inline int posix_open(const char* path, int flags, ::mode_t permissions = 0) {
  const StandardFiles taken;
  const int low = ::open(path, flags, permissions);
  if (low < 0 || low > STDERR_FILENO) return low;  // unless the program closes one of them just now
  const int high = ::fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(low);
  if (high < 0 && (flags & O_EXCL) != 0) ::unlink(path);  // made just now, and useless
  errno = error;
  return high;
}

/// Whether a file system, by the type from `statfs`, overwrites allocated blocks in place. Those are tmpfs
/// and ext2, ext3 and ext4, which share a type. On others, overwriting may need new space; a store into a
/// mapping can request it only by a page fault, and a full disk then answers with SIGBUS. Such are btrfs,
/// bcachefs, ZFS and f2fs, XFS once a file was copied by reference, and the layers over another file system:
/// overlayfs, NFS, FUSE.
inline bool overwrites_in_place(std::uint64_t type) noexcept {
  constexpr std::uint64_t kExt = 0xEF53;
  constexpr std::uint64_t kTmpfs = 0x0102'1994;
  return type == kExt || type == kTmpfs;
}

/// Whether an error of `fsync` on a folder means that the file system has nothing to do. The descriptor is
/// open, so EBADF too comes from a file system that lacks this call.
inline bool cannot_sync_folders(const std::error_code& error) noexcept {
  return error == std::errc::invalid_argument || error == std::errc::function_not_supported ||
         error == std::errc::not_supported || error == std::errc::operation_not_supported ||
         error == std::errc::bad_file_descriptor;
}

inline int posix_flags(OpenMode mode) {
  // A pipe or a device is neither waited for, nor made the terminal of this process.
  constexpr int kAny = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  constexpr int kWrite = O_RDWR | O_CREAT | O_NOFOLLOW | kAny;
  switch (mode) {
    case OpenMode::read:
      return O_RDONLY | kAny;
    case OpenMode::update:
      return kWrite;
    case OpenMode::truncate:
      return kWrite | O_TRUNC;
    case OpenMode::exclusive:
      return kWrite | O_EXCL;
  }
  return O_RDONLY | kAny;
}

inline constexpr const char* kPosixAcl = "system.posix_acl_access";

/// Whether an error of a call about a list means that the file has none, or its file system has none at all.
inline bool has_no_acl(int error) noexcept {
  constexpr std::array<int, 5> kNone{ENODATA, ENOTSUP, EOPNOTSUPP, ENOSYS, ENOENT};  // two may be equal
  return std::find(kNone.begin(), kNone.end(), error) != kNone.end();
}

/// The lock of this kind from the first byte to beyond the last.
inline struct ::flock whole_file(int kind) noexcept {
  struct ::flock lock{};
  lock.l_type = static_cast<short>(kind);
  lock.l_whence = SEEK_SET;
  return lock;
}

/// Whether a lock of bytes is refused because of another: POSIX leaves the choice of the error.
inline bool would_block(const std::error_code& error) noexcept {
  return error == std::errc::resource_unavailable_try_again || error == std::errc::permission_denied;
}

/// Reads a list by `get(out, bytes)`, which returns its size.
template <class Get>
Result<std::string> posix_acl(const Get& get) {
  std::string acl(1024, '\0');
  ::ssize_t size = get(acl.data(), acl.size());
  if (size < 0 && errno == ERANGE) {
    acl.resize(std::size_t{64} << 10);  // no attribute is larger
    size = get(acl.data(), acl.size());
  }
  if (size < 0) return {{}, has_no_acl(errno) ? std::error_code{} : posix_error()};
  acl.resize(static_cast<std::size_t>(size));
  return {std::move(acl), {}};
}

class PosixMapping final : public Mapping {
 public:
  PosixMapping(int descriptor, ::off_t offset, std::size_t bytes) noexcept
      : Mapping{map(descriptor, offset, bytes)} {}
  ~PosixMapping() override {
    if (!bytes().empty()) ::munmap(bytes().data(), bytes().size());
  }

 private:
  static std::span<char> map(int descriptor, ::off_t offset, std::size_t bytes) noexcept {
    void* const start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
    if (start == MAP_FAILED) return {};
    // Page by page: reading ahead keeps the file in large folios, and a sync writes a folio whole.
    ::madvise(start, bytes, MADV_RANDOM);
    return {static_cast<char*>(start), bytes};
  }
};

class PosixFile final : public File {
 public:
  PosixFile() = default;
  explicit PosixFile(int descriptor) : descriptor_{descriptor} {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { close_descriptor(); }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    return posix_transfer(::pread(descriptor_, out.data(), out.size(), static_cast<::off_t>(offset)));
  }

  Result<std::size_t> write_at(std::uint64_t offset, std::string_view text) override {
    return posix_transfer(::pwrite(descriptor_, text.data(), text.size(), static_cast<::off_t>(offset)));
  }

  std::error_code sync() override { return posix_outcome(::fdatasync(descriptor_)); }

  std::error_code truncate(std::uint64_t size) override {
    return posix_outcome(::ftruncate(descriptor_, static_cast<::off_t>(size)));
  }

  std::error_code allocate(std::uint64_t offset, std::uint64_t bytes) override {
    // Beyond the limit on file sizes, the system would end the program by SIGXFSZ.
    struct ::rlimit most{};
    const bool limited = ::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY;
    if (limited && offset + bytes > most.rlim_cur) return std::make_error_code(std::errc::file_too_large);
    // Not posix_fallocate: if the file system cannot allocate, that function writes zeros behind our back.
    return posix_outcome(
        ::fallocate(descriptor_, 0, static_cast<::off_t>(offset), static_cast<::off_t>(bytes)));
  }

  Result<FileStatus> status() override {
    struct ::stat status{};
    if (::fstat(descriptor_, &status) != 0) return {{}, posix_error()};
    return {posix_status(status), {}};
  }
  Result<FileStatus> identity() override {
    auto found = posix_identity(descriptor_, "");
    return lacks_statx(found.error) ? status() : found;
  }

  std::error_code set_mode(std::uint32_t mode) override {
    return posix_outcome(::fchmod(descriptor_, static_cast<::mode_t>(mode)));
  }

  std::error_code set_owner(std::uint32_t owner, std::uint32_t group) override {
    return posix_outcome(::fchown(descriptor_, owner, group));
  }

  Result<std::string> acl() override {
    return posix_acl(
        [&](char* out, std::size_t bytes) { return ::fgetxattr(descriptor_, kPosixAcl, out, bytes); });
  }
  std::error_code set_acl(std::string_view acl) override {
    if (!acl.empty()) return posix_outcome(::fsetxattr(descriptor_, kPosixAcl, acl.data(), acl.size(), 0));
    const int result = ::fremovexattr(descriptor_, kPosixAcl);
    return result != 0 && has_no_acl(errno) ? std::error_code{} : posix_outcome(result);
  }

  std::error_code try_lock() override {
    ForkWatch::begin();
    if (locked_ == nullptr) locked_ = LockedDescriptor::list(descriptor_);  // first: no child may keep it
    return posix_outcome(::flock(descriptor_, LOCK_EX | LOCK_NB));
  }

  /// `flock` excludes through any handle. This lock excludes only through one that may write, but one that
  /// may read can lock against it: the second call is blind for those.
  std::error_code try_lock_to_write() override {
    ForkWatch::begin();
    if (locked_ == nullptr) locked_ = LockedDescriptor::list(descriptor_);
    struct ::flock lock = whole_file(F_WRLCK);
    const auto error = posix_outcome(::fcntl(descriptor_, F_OFD_SETLK, &lock));
    return would_block(error) ? check_no_writer() : error;
  }
  std::error_code check_no_writer() override {
    struct ::flock lock = whole_file(F_RDLCK);  // only a writer is in the way of a reader
    const auto error = posix_outcome(::fcntl(descriptor_, F_OFD_GETLK, &lock));
    if (error) return error;
    return lock.l_type == F_UNLCK ? std::error_code{}
                                  : std::make_error_code(std::errc::operation_would_block);
  }

  void unlock() noexcept override {
    ::flock(descriptor_, LOCK_UN);
    struct ::flock lock = whole_file(F_UNLCK);
    ::fcntl(descriptor_, F_OFD_SETLK, &lock);
  }

  Result<std::unique_ptr<Mapping>> map(std::uint64_t offset, std::size_t bytes) override {
    struct ::statfs where{};
    if (::fstatfs(descriptor_, &where) != 0) return {nullptr, posix_error()};
    if (!overwrites_in_place(static_cast<std::uint32_t>(where.f_type))) return File::map(offset, bytes);
    auto mapping = std::make_unique<PosixMapping>(descriptor_, static_cast<::off_t>(offset), bytes);
    if (mapping->bytes().empty()) return {nullptr, posix_error()};
    return {std::move(mapping), {}};
  }

  std::error_code close() override { return close_descriptor(); }

  std::error_code open(const std::filesystem::path& path, OpenMode mode, std::uint32_t permissions) {
    descriptor_ = posix_open(path.c_str(), posix_flags(mode), static_cast<::mode_t>(permissions));
    return descriptor_ < 0 ? posix_error() : std::error_code{};
  }

 private:
  std::error_code close_descriptor() {
    if (descriptor_ < 0) return {};
    if (locked_ != nullptr && !std::exchange(locked_, nullptr)->unlist()) descriptor_ = -1;
    if (descriptor_ < 0) return {};  // a forked child has closed it
    const std::error_code error = posix_outcome(::close(std::exchange(descriptor_, -1)));
    return interrupted(error) ? std::error_code{} : error;  // Linux has closed it nevertheless
  }

  int descriptor_ = -1;
  LockedDescriptor* locked_ = nullptr;  // set once the file was asked to carry a lock
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode,
                                     std::uint32_t permissions) override {
    auto file = std::make_unique<PosixFile>();  // first: out of memory, nothing may be open or newly made
    const auto error = file->open(path, mode, permissions);
    if (error) return {nullptr, error};
    return {std::move(file), {}};
  }

  Result<FileStatus> status(const std::filesystem::path& path) override {
    struct ::stat status{};
    if (::stat(path.c_str(), &status) == 0) return {posix_status(status), {}};
    if (errno == ENOENT) return {};
    return {{}, posix_error()};
  }
  Result<FileStatus> identity(const std::filesystem::path& path) override {
    auto found = posix_identity(AT_FDCWD, path.c_str());
    if (found.error == std::errc::no_such_file_or_directory) return {};
    return lacks_statx(found.error) ? status(path) : found;
  }

  Result<std::string> acl(const std::filesystem::path& path) override {
    return posix_acl(
        [&](char* out, std::size_t bytes) { return ::getxattr(path.c_str(), kPosixAcl, out, bytes); });
  }

  Result<std::filesystem::path> read_link(const std::filesystem::path& path) override {
    std::string text(4096, '\0');  // PATH_MAX: no link can be longer
    const auto size = ::readlink(path.c_str(), text.data(), text.size());
    if (size < 0) return {{}, posix_error()};
    text.resize(static_cast<std::size_t>(size));
    return {std::filesystem::path{std::move(text)}, {}};
  }

  std::error_code rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return posix_outcome(::rename(from.c_str(), to.c_str()));
  }

  std::error_code remove(const std::filesystem::path& path) override {
    return posix_outcome(::unlink(path.c_str()));
  }

  std::error_code sync_folder(const std::filesystem::path& folder) override {
    const int descriptor = posix_open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return posix_error();
    const PosixFile closer{descriptor};
    const std::error_code error = posix_outcome(::fsync(descriptor));
    return cannot_sync_folders(error) ? std::error_code{} : error;
  }

  std::error_code check_writable(const std::filesystem::path& folder) override {
    return posix_outcome(::faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS));
  }

  std::error_code check_writable_file(const std::filesystem::path& path) override {
    const int result = ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS);
    return result != 0 && errno == ENOENT ? std::error_code{} : posix_outcome(result);
  }

  std::error_code check_syncable(const std::filesystem::path& folder) override {
    return posix_outcome(::faccessat(AT_FDCWD, folder.c_str(), R_OK, AT_EACCESS));
  }

  Result<std::filesystem::path> current_folder() override {
    std::error_code error;
    auto folder = std::filesystem::current_path(error);
    return {std::move(folder), error};
  }

  [[nodiscard]] long process_id() override { return ::getpid(); }
  [[nodiscard]] std::uint32_t user_id() override { return ::geteuid(); }
};

}}}  // namespace kvstore::v1::detail

#endif
