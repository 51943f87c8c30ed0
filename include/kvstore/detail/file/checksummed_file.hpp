// SPDX-License-Identifier: MIT
#pragma once

// The checksum of a file that is read from start to end anyway.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/text/crc32c.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Forwards reads to another file, and computes the checksum of all bytes that are read for the first time,
/// in order.
class ChecksummedFile final : public File {
 public:
  explicit ChecksummedFile(File& file) : file_{file} {}

  /// Bytes from the start that `crc` covers.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    const auto got = file_.read_at(offset, out);
    if (!got.error && offset <= size_ && offset + got.value > size_) {
      const auto fresh = static_cast<std::size_t>(size_ - offset);
      crc_ = crc32c({out.data() + fresh, got.value - fresh}, crc_);
      size_ = offset + got.value;
    }
    return got;
  }

  Result<std::size_t> write_at(std::uint64_t, std::string_view) override { return {0, refused()}; }
  std::error_code sync() override { return refused(); }
  std::error_code truncate(std::uint64_t) override { return refused(); }
  std::error_code allocate(std::uint64_t, std::uint64_t) override { return refused(); }
  Result<FileStatus> status() override { return file_.status(); }
  std::error_code set_mode(std::uint32_t) override { return refused(); }
  std::error_code set_owner(std::uint32_t, std::uint32_t) override { return refused(); }
  std::error_code try_lock() override { return refused(); }
  std::error_code close() override { return file_.close(); }

 private:
  [[nodiscard]] static std::error_code refused() {
    return std::make_error_code(std::errc::operation_not_permitted);
  }

  File& file_;
  std::uint64_t size_ = 0;
  std::uint32_t crc_ = 0;
};

}}}  // namespace kvstore::v1::detail
