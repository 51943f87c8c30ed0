// SPDX-License-Identifier: MIT
#pragma once

// The system calls of the storages, one virtual function each, so that tests can observe a call, cut it short
// or make it fail. The calls report errors and never throw for a refusal. Interruptions and short transfers
// are visible; the helpers below handle both. Implementations: posix.hpp, windows.hpp.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/detail/base/inline.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The number of bytes to write or read at a time.
inline constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

/// A call's value, which is meaningful only if `error` is empty.
template <class Value>
struct Result {
  Value value{};
  std::error_code error{};
};

/// How to open a file. A mode that writes never follows a symbolic link as the last component: call `resolve`
/// first.
enum class OpenMode {
  read,       ///< an existing file, for reading
  update,     ///< reading and writing; made if it is missing
  truncate,   ///< as `update`, and emptied
  exclusive,  ///< as `update`, and refused with EEXIST if anything has the name
};

enum class FileKind { missing, regular, folder, link, other };  // a link only in `wrong_kind`

struct FileStatus {
  FileKind kind = FileKind::missing;
  std::uint64_t size = 0;    ///< bytes
  std::uint32_t mode = 0;    ///< permission bits, at most 07777
  std::uint32_t owner = 0;   ///< user id
  std::uint32_t group = 0;   ///< group id
  std::uint64_t device = 0;  ///< with `inode`: the file's identity
  std::uint64_t inode = 0;
  std::int64_t modified = 0;  ///< when the contents last changed, ns since the epoch; 0 if unknown
  std::uint64_t links = 1;    ///< names of the file
  bool operator==(const FileStatus&) const = default;
};

/// A piece of a file as shared memory: bytes stored in it reach the operating system at once, without a call.
/// The destructor ends the mapping.
class Mapping {
 public:
  explicit Mapping(std::span<char> bytes) noexcept : bytes_{bytes} {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  virtual ~Mapping() = default;

  [[nodiscard]] std::span<char> bytes() const noexcept { return bytes_; }

 private:
  std::span<char> bytes_;
};

/// An open file. The destructor closes it, which also releases its lock. Not for several threads at once,
/// except that the `_at` calls may run concurrently with each other and with `sync`.
class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  /// Reads up to `out.size()` bytes; 0 bytes mean the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) = 0;
  /// Writes at least one byte of `text`, perhaps not all.
  virtual Result<std::size_t> write_at(std::uint64_t offset, std::string_view text) = 0;
  /// Waits until contents and size are on disk. After a failure nothing may be assumed about either.
  virtual std::error_code sync() = 0;
  virtual std::error_code truncate(std::uint64_t size) = 0;
  /// Reserves disk space and grows the file to cover it. See `only_reserving_failed`.
  virtual std::error_code allocate(std::uint64_t offset, std::uint64_t bytes) = 0;
  /// Maps a piece that was allocated; `offset` and `bytes` are multiples of 64 KiB. A `sync` covers the bytes
  /// stored in it. EOPNOTSUPP if mappings are not available, or if storing could meet a full disk.
  KVSTORE_INLINE virtual Result<std::unique_ptr<Mapping>> map(std::uint64_t /*offset*/,
                                                              std::size_t /*bytes*/);
  virtual Result<FileStatus> status() = 0;
  /// Kind, size, device and inode, and no times. From Linux 6.13 on, the first write to a file whose times
  /// were asked for records new ones, which costs a small durable write more than half its time.
  virtual Result<FileStatus> identity() { return status(); }
  virtual std::error_code set_mode(std::uint32_t mode) = 0;
  virtual std::error_code set_owner(std::uint32_t owner, std::uint32_t group) = 0;
  /// The access control list, as the attribute system.posix_acl_access; empty if there is none.
  virtual Result<std::string> acl() { return {}; }
  /// Sets the list, and with it the mode; an empty one is removed.
  KVSTORE_INLINE virtual std::error_code set_acl(std::string_view acl);
  /// Takes the exclusive advisory lock, or fails at once with EWOULDBLOCK. A second open file in this process
  /// conflicts too.
  virtual std::error_code try_lock() = 0;
  /// Takes the lock of the one who writes this file, or fails at once with EWOULDBLOCK because another open
  /// file has it. Where the system can tell, a user who may only read the file neither takes it nor is in the
  /// way of it; whatever such a user locks, the writer goes on.
  virtual std::error_code try_lock_to_write() { return try_lock(); }
  /// EWOULDBLOCK if another open file has the lock of the one who writes. Any open file may ask.
  KVSTORE_INLINE virtual std::error_code check_no_writer();
  /// Releases both locks. A forked child has the file open as well, and would keep a lock after a mere
  /// `close`.
  virtual void unlock() noexcept {}
  /// Closes the file. It is closed whatever the result, and a second call does nothing.
  virtual std::error_code close() = 0;
};

/// Permissions of a file that `FileSystem::open` makes, before the umask.
inline constexpr std::uint32_t kDefaultMode = 0666;

class FileSystem {
 public:
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> open(const std::filesystem::path& path, OpenMode mode,
                                             std::uint32_t permissions) = 0;
  /// Follows symbolic links. A missing file is not an error: the kind says so.
  virtual Result<FileStatus> status(const std::filesystem::path& path) = 0;
  /// The same without times, as `File::identity`.
  virtual Result<FileStatus> identity(const std::filesystem::path& path) { return status(path); }
  /// The access control list of a file, as `File::acl`; empty if there is no file.
  virtual Result<std::string> acl(const std::filesystem::path& /*path*/) { return {}; }
  /// The text of a symbolic link; EINVAL if `path` is not a link, ENOENT if it does not exist.
  virtual Result<std::filesystem::path> read_link(const std::filesystem::path& path) = 0;
  /// Replaces `to`, if it exists, in one step.
  virtual std::error_code rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  virtual std::error_code remove(const std::filesystem::path& path) = 0;
  /// Waits until the names in `folder` (made, renamed, removed) are on disk.
  virtual std::error_code sync_folder(const std::filesystem::path& folder) = 0;
  /// Empty if this process may make files in `folder`.
  virtual std::error_code check_writable(const std::filesystem::path& folder) = 0;
  /// Empty if this process may write the file `path`, or there is none.
  virtual std::error_code check_writable_file(const std::filesystem::path& /*path*/) { return {}; }
  /// Empty if this process may open `folder` to sync it.
  virtual std::error_code check_syncable(const std::filesystem::path& /*folder*/) { return {}; }
  virtual Result<std::filesystem::path> current_folder() = 0;
  [[nodiscard]] virtual long process_id() = 0;
  /// The owner of the files that this process makes.
  [[nodiscard]] virtual std::uint32_t user_id() { return 0; }
};

/// Whether a refusal to reserve space does not rule out that a smaller write to the same place succeeds: the
/// file system cannot reserve space, or the disk, a quota or a limit on file sizes has no room for that much,
/// but perhaps for less.
bool only_reserving_failed(const std::error_code& error);

// ---- Interrupted calls, short transfers --------------------------------------------------------------

inline bool interrupted(const std::error_code& error) { return error == std::errc::interrupted; }

template <class Value>
bool interrupted(const Result<Value>& result) {
  return interrupted(result.error);
}

/// Repeats `call` for as long as signals interrupt it.
template <class Call>
auto uninterrupted(const Call& call) {
  auto outcome = call();
  while (interrupted(outcome)) outcome = call();
  return outcome;
}

/// The error of a name that is taken by something else than a regular file. Its message says by what.
std::error_code wrong_kind(FileKind kind);

/// Opens every file of a store. Anything but a regular file is refused, by the error `wrong_kind`, and never
/// waited for: a pipe or a device, say, or, if it is to be written, a symbolic link.
Result<std::unique_ptr<File>> open_file(FileSystem& files, const std::filesystem::path& path, OpenMode mode,
                                        std::uint32_t permissions = kDefaultMode);

/// Writes all of `text` at `offset`. After an error any first part of it may have been written.
std::error_code write_all(File& file, std::uint64_t offset, std::string_view text);

/// Fills `out` from `offset`; reads fewer bytes only if the file ends.
Result<std::size_t> read_full(File& file, std::uint64_t offset, std::span<char> out);

/// The absolute path at which opening `path` ends, through symbolic links, whether or not a file is there.
/// The parent folder is left to the kernel, which alone knows the meaning of `..` after a linked folder.
Result<std::filesystem::path> resolve(FileSystem& files, std::filesystem::path path);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/file/file_system.ipp"
#endif
