// SPDX-License-Identifier: MIT
#pragma once

// How a command ends: its exit status, and what it says about it.

#include <exception>
#include <kvstore/error.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace kvctl {

/// Exit statuses. Scripts rely on them: never change one, see `--help`.
enum Status : int {
  kDone = 0,
  kNoSuchKey = 1,  // or there is one already
  kUsage = 2,
  kDamaged = 3,
  kLocked = 4,
  kFailed = 5,
};

/// Ends the command with a message.
class Failure : public std::runtime_error {
 public:
  /// `advice` stands on a line of its own.
  Failure(Status status, const std::string& message, std::string advice = {})
      : std::runtime_error{message}, status_{status}, advice_{std::move(advice)} {}
  [[nodiscard]] Status status() const noexcept { return status_; }
  [[nodiscard]] const std::string& advice() const noexcept { return advice_; }

 private:
  Status status_;
  std::string advice_;
};

/// Which status an error of the library stands for.
[[nodiscard]] inline Status status_of(const std::exception& error) {
  if (const auto* failure = dynamic_cast<const Failure*>(&error)) return failure->status();
  if (dynamic_cast<const kvstore::CorruptionError*>(&error)) return kDamaged;
  if (dynamic_cast<const kvstore::LockedError*>(&error)) return kLocked;
  const auto* storage = dynamic_cast<const kvstore::StorageError*>(&error);
  if (storage != nullptr && storage->code() == std::errc::device_or_resource_busy) return kLocked;
  if (dynamic_cast<const kvstore::UsageError*>(&error)) return kUsage;
  if (dynamic_cast<const kvstore::ValueError*>(&error)) return kUsage;
  return kFailed;
}

}  // namespace kvctl
