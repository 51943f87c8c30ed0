// SPDX-License-Identifier: MIT
#pragma once

// Reports events to a store's user, and protects the store from the user's handlers.

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/log.hpp"
#include "kvstore/options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The amount and duration of some work, for the log.
struct WorkDone {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds duration{0};
};

class Observer {
 public:
  /// `options` outlives it.
  Observer(const Options& options, std::filesystem::path path)
      : options_{options}, path_{std::move(path)}, path_text_{path_text(path_)} {}

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// Whether the logger receives events of this level.
  [[nodiscard]] bool listens(LogLevel level) const noexcept;

  /// Calls the logger. Never call this under a lock of the data. A logger that uses a store causes events of
  /// its own; those are dropped, since they would never end.
  void log(LogLevel level, std::string_view event,
           std::initializer_list<LogField> fields = {}) const noexcept;
  void log(LogLevel level, std::string_view event, const WorkDone& done) const noexcept;

  /// Passes a failure to the logger, as `event`, and to `on_error`. A failure inside `on_error` is only
  /// logged.
  void report(const std::exception_ptr& failure, std::string_view event = "save failed") const noexcept;

 private:
  void tell(const std::exception& error) const noexcept;

  const Options& options_;
  std::filesystem::path path_;
  std::string path_text_;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/saving/observer.ipp"
#endif
