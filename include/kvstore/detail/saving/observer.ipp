// SPDX-License-Identifier: MIT
#pragma once

// The definitions of observer.hpp.

#include <chrono>
#include <exception>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/no_cancellation.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/log.hpp"
#include "kvstore/options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE bool Observer::listens(LogLevel level) const noexcept {
  return options_.logger && level >= options_.log_level;
}

KVSTORE_INLINE void Observer::log(LogLevel level, std::string_view event,
                                  std::initializer_list<LogField> fields) const noexcept {
  thread_local bool telling = false;
  if (!listens(level) || telling) return;
  const NoCancellation until_told;
  telling = true;
  try {
    std::vector<LogField> all{{"path", path_text_}};
    all.insert(all.end(), fields);
    options_.logger({level, event, all});
  } catch (...) {  // NOLINT(bugprone-empty-catch): a logger must not harm the store
  }
  telling = false;
}

KVSTORE_INLINE void Observer::log(LogLevel level, std::string_view event,
                                  const WorkDone& done) const noexcept {
  const double seconds = std::chrono::duration<double>(done.duration).count();
  log(level, event, {{"entries", done.entries}, {"bytes", done.bytes}, {"seconds", seconds}});
}

KVSTORE_INLINE void Observer::report(const std::exception_ptr& failure,
                                     std::string_view event) const noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    log(LogLevel::error, event, {{"error", error.what()}});
    tell(error);
  } catch (...) { log(LogLevel::error, event, {{"error", "unknown failure"}}); }
}

KVSTORE_INLINE void Observer::tell(const std::exception& error) const noexcept {
  thread_local bool telling = false;
  if (!options_.on_error || telling) return;
  const NoCancellation until_told;
  telling = true;
  try {
    options_.on_error(error);
  } catch (...) {  // NOLINT(bugprone-empty-catch): what it throws is swallowed, as Options says
  }
  telling = false;
}

}}}  // namespace kvstore::v1::detail
