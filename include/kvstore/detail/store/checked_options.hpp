// SPDX-License-Identifier: MIT
#pragma once

// Refuses options with which no store can be opened.

#include <algorithm>
#include <chrono>
#include <string>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/store/table_loader.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// @throws UsageError
[[nodiscard]] inline Options checked(Options options) {
  if (options.segments > kMaxSegments) {
    throw UsageError{"Options::segments is " + std::to_string(options.segments) + "; use at most 65536"};
  }
  if (options.threads > kMaxThreads) {
    throw UsageError{"Options::threads is " + std::to_string(options.threads) + "; use at most 64"};
  }
  if (options.auto_save_interval.count() < 0) {
    throw UsageError{"Options::auto_save_interval is negative; use zero to save by count only"};
  }
  // Clocks overflow after some 292 years.
  options.auto_save_interval =
      std::min<std::chrono::milliseconds>(options.auto_save_interval, std::chrono::hours{24 * 365});
  return options;
}

}}}  // namespace kvstore::v1::detail
