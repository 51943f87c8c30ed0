// SPDX-License-Identifier: MIT
#pragma once

// What a store remembers of its saves for those who ask. *Thread safety*: none.

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
  /// Why the last save failed; null if it has not.
  [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
  /// How long the last one took.
  [[nodiscard]] std::chrono::nanoseconds last_save() const noexcept { return saves_.last_duration; }

  /// Bytes of keys and values that were handed to the storage.
  void add(std::uint64_t bytes) noexcept { saves_.bytes += bytes; }
  void set_journal_bytes(std::uint64_t bytes) noexcept { journal_.bytes = bytes; }

  /// `failure` is null if the save succeeded.
  void note_save(std::chrono::nanoseconds took, const std::exception_ptr& failure) noexcept {
    saves_.last_duration = took;
    saves_.durations.add(took);
    ++(failure ? saves_.failed : saves_.succeeded);
    keep(failure);
  }
  /// The same of a compaction that nobody owed; if it succeeded, everything is saved as well.
  void note_compaction(std::chrono::nanoseconds took, const std::exception_ptr& failure) noexcept {
    journal_.last_compaction = took;
    ++(failure ? journal_.failed_compactions : journal_.compactions);
    if (!failure) keep(nullptr);
  }
  /// Nothing is wrong any more.
  void forget_failure() noexcept { keep(nullptr); }

 private:
  void keep(const std::exception_ptr& failure) noexcept {
    failure_ = failure;
    saves_.last_error.reset();
    if (!failure) return;
    try {
      saves_.last_error.emplace();  // without memory for the words, the failure itself is kept
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
