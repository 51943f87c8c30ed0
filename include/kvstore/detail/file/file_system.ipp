// SPDX-License-Identifier: MIT
#pragma once

// The definitions of file_system.hpp.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/detail/base/immortal.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE Result<std::unique_ptr<Mapping>> File::map(std::uint64_t /*offset*/, std::size_t /*bytes*/) {
  return {nullptr, std::make_error_code(std::errc::operation_not_supported)};
}

KVSTORE_INLINE std::error_code File::set_acl(std::string_view acl) {
  return acl.empty() ? std::error_code{} : std::make_error_code(std::errc::operation_not_supported);
}

KVSTORE_INLINE std::error_code File::check_no_writer() {
  const auto error = try_lock_to_write();
  if (!error) unlock();
  return error;
}

KVSTORE_INLINE bool only_reserving_failed(const std::error_code& error) {
#ifdef EDQUOT
  if (error == std::error_condition{EDQUOT, std::generic_category()}) return true;
#endif
  return error == std::errc::no_space_on_device || error == std::errc::file_too_large ||
         error == std::errc::operation_not_supported || error == std::errc::not_supported ||
         error == std::errc::function_not_supported || error == std::errc::invalid_argument;
}

/// The numbers are those of `FileKind`.
class WrongKinds final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "kind of file"; }

  [[nodiscard]] std::string message(int code) const override {
    switch (static_cast<FileKind>(code)) {
      case FileKind::folder:
        return "a folder has that name";
      case FileKind::link:
        return "a symbolic link has that name, which is not followed to write";
      default:
        return "a pipe, a socket or a device has that name, and not a regular file";
    }
  }

  [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
    switch (static_cast<FileKind>(code)) {
      case FileKind::folder:
        return std::make_error_condition(std::errc::is_a_directory);
      case FileKind::link:
        return std::make_error_condition(std::errc::too_many_symbolic_link_levels);
      default:
        return {code, *this};
    }
  }
};

KVSTORE_INLINE std::error_code wrong_kind(FileKind kind) {
  static const Immortal<WrongKinds> kinds;
  return {static_cast<int>(kind), *kinds};
}

KVSTORE_INLINE Result<std::unique_ptr<File>> open_file(FileSystem& files, const std::filesystem::path& path,
                                                       OpenMode mode, std::uint32_t permissions) {
  auto opened = uninterrupted([&] { return files.open(path, mode, permissions); });
  if (opened.error == std::errc::no_such_device_or_address) opened.error = wrong_kind(FileKind::other);
  if (opened.error == std::errc::too_many_symbolic_link_levels && mode != OpenMode::read)
    opened.error = wrong_kind(FileKind::link);
  if (opened.error || mode == OpenMode::exclusive) return opened;
  const auto status = uninterrupted([&] { return opened.value->status(); });
  if (status.error) return {nullptr, status.error};
  if (status.value.kind != FileKind::regular) return {nullptr, wrong_kind(status.value.kind)};
  return opened;
}

KVSTORE_INLINE std::error_code write_all(File& file, std::uint64_t offset, std::string_view text) {
  while (!text.empty()) {
    const auto written = uninterrupted([&] { return file.write_at(offset, text); });
    if (written.error) return written.error;
    if (written.value == 0) return std::make_error_code(std::errc::io_error);  // avoids an endless loop
    offset += written.value;
    text.remove_prefix(written.value);
  }
  return {};
}

KVSTORE_INLINE Result<std::size_t> read_full(File& file, std::uint64_t offset, std::span<char> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got = uninterrupted([&] { return file.read_at(offset + done, out.subspan(done)); });
    if (got.error) return {done, got.error};
    if (got.value == 0) break;
    done += got.value;
  }
  return {done, {}};
}

KVSTORE_INLINE Result<std::filesystem::path> resolve(FileSystem& files, std::filesystem::path path) {
  if (path.is_relative()) {
    const auto folder = files.current_folder();
    if (folder.error) return {{}, folder.error};
    path = folder.value / path;
  }
  constexpr int kMaxLinks = 40;  // as Linux
  for (int links = 0; links < kMaxLinks; ++links) {
    const auto link = uninterrupted([&] { return files.read_link(path); });
    if (link.error == std::errc::invalid_argument || link.error == std::errc::no_such_file_or_directory) {
      return {path, {}};
    }
    if (link.error) return {{}, link.error};
    path = path.parent_path() / link.value;
  }
  return {{}, std::make_error_code(std::errc::too_many_symbolic_link_levels)};
}

}}}  // namespace kvstore::v1::detail
