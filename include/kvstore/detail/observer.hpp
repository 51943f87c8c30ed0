// SPDX-License-Identifier: MIT
#pragma once

// Tells a store's user what happens, without letting the user's handlers harm the store.

#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/options.hpp"

namespace kvstore::inline v0::detail {

class Observer {
 public:
  /// `options` outlives it.
  Observer(const Options& options, std::filesystem::path path)
      : options_{options}, path_{std::move(path)}, path_text_{path_.string()} {}

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  void log(LogLevel level, std::string_view event, std::uint64_t entries,
           std::string_view detail = {}) const noexcept {
    if (!options_.logger) return;
    try {
      options_.logger({level, event, path_text_, entries, detail});
    } catch (...) {  // NOLINT(bugprone-empty-catch): a logger must not harm the store
    }
  }

  /// Hands a failed save to the logger and to `on_error`. A save that fails inside `on_error` is logged only.
  void report(const std::exception_ptr& failure) const noexcept {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log(LogLevel::error, "save failed", 0, error.what());
      tell(error);
    } catch (...) { log(LogLevel::error, "save failed", 0, "unknown failure"); }
  }

 private:
  void tell(const std::exception& error) const noexcept {
    thread_local bool telling = false;
    if (!options_.on_error || telling) return;
    telling = true;
    try {
      options_.on_error(error);
    } catch (...) {  // NOLINT(bugprone-empty-catch): what it throws is swallowed, as Options says
    }
    telling = false;
  }

  const Options& options_;
  std::filesystem::path path_;
  std::string path_text_;
};

}  // namespace kvstore::inline v0::detail
