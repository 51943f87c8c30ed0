// SPDX-License-Identifier: MIT
#pragma once

// The error of an operation that was applied in memory but could not be saved.

#include <exception>
#include <filesystem>
#include <new>
#include <system_error>
#include <utility>

#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class NotOnDisk {
 public:
  explicit NotOnDisk(std::filesystem::path path) : path_{std::move(path)} {}

  /// Runs `save`. If it throws, throws this error with that exception as its reason.
  template <class Save>
  void rethrow_from(const Save& save) const {
    try {
      save();
    } catch (...) { rethrow(); }
  }

 private:
  /// Throws this error, with the exception being handled as its reason. If there is no memory even for the
  /// message, throws an error prepared for that: std::bad_alloc would mean that nothing was changed.
  [[noreturn]] void rethrow() const {
    try {
      try {
        throw;
      } catch (const StorageError& error) {
        throw StorageError::not_on_disk(error.path(), error.code(), error.what());
      } catch (const LockedError& error) {
        throw StorageError::owned_by_another(error.path(), error.what());
      } catch (const std::exception& error) { throw StorageError::not_on_disk(path_, {}, error.what()); }
    } catch (const std::bad_alloc&) { std::rethrow_exception(out_of_memory_); }
  }

  [[nodiscard]] static std::exception_ptr prepared(const std::filesystem::path& path) {
    const auto code = std::make_error_code(std::errc::not_enough_memory);
    return std::make_exception_ptr(StorageError::not_on_disk(path, code, "out of memory"));
  }

  std::filesystem::path path_;
  std::exception_ptr out_of_memory_ = prepared(path_);
};

}}}  // namespace kvstore::v1::detail
