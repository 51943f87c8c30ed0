// SPDX-License-Identifier: MIT
#pragma once

// The figures of a store's saves. *Thread safety*: none.

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>

#include "kvstore/metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class SaveFigures {
 public:
  [[nodiscard]] const SaveMetrics& saves() const noexcept { return saves_; }
  [[nodiscard]] const JournalMetrics& journal() const noexcept { return journal_; }
  /// The error of the last save; null if it succeeded.
  [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
  /// The duration of the last save.
  [[nodiscard]] std::chrono::nanoseconds last_save() const noexcept { return saves_.last_duration; }

  /// Counts bytes of keys and values that were passed to the storage.
  void add(std::uint64_t bytes) noexcept { saves_.bytes += bytes; }
  void set_journal_bytes(std::uint64_t bytes) noexcept { journal_.bytes = bytes; }

  /// `failure` is null if the save succeeded.
  void note_save(std::chrono::nanoseconds took, const std::exception_ptr& failure) noexcept {
    saves_.last_duration = took;
    saves_.durations.add(took);
    ++(failure ? saves_.failed : saves_.succeeded);
    keep(failure);
  }
  /// The same for a compaction that was not owed; if it succeeded, everything is saved as well.
  void note_compaction(std::chrono::nanoseconds took, const std::exception_ptr& failure) noexcept {
    journal_.last_compaction = took;
    ++(failure ? journal_.failed_compactions : journal_.compactions);
    if (!failure) keep(nullptr);
  }
  /// Forgets the last failure.
  void forget_failure() noexcept { keep(nullptr); }

 private:
  void keep(const std::exception_ptr& failure) noexcept {
    failure_ = failure;
    saves_.last_error.reset();
    if (!failure) return;
    try {
      saves_.last_error.emplace();  // without memory for the message, the failure itself is kept
      saves_.last_error = message_of(failure);
    } catch (...) {}  // NOLINT(bugprone-empty-catch): as said
  }

  [[nodiscard]] static std::string message_of(const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) { return error.what(); } catch (...) {
      return "unknown failure";
    }
  }

  SaveMetrics saves_;
  JournalMetrics journal_;
  std::exception_ptr failure_;
};

}}}  // namespace kvstore::v1::detail
