// SPDX-License-Identifier: MIT
#pragma once

// A simulated disk for the tasks of a scheduler. Each call is a point, and may fail.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "support/fault_file_system.hpp"
#include "support/scheduler.hpp"
#include "support/simulated_disk.hpp"

namespace support {

/// The kinds of calls that are points.
struct ScheduledCalls {
  bool split_syncs = false;  ///< a sync of a file has a point in its middle, so that two syncs may overlap
  bool reads = true;         ///< calls that change nothing are points as well
};

/// Another task may continue before each call to the disk. Within `SearchLimits::faults` the search may also
/// let a call fail: with EIO, or half way with ENOSPC if the call needs space. A failed sync drops the bytes
/// that it should have written.
class ScheduledFileSystem : public FaultFileSystem {
 public:
  /// `disk` outlives this object, which alone uses it.
  explicit ScheduledFileSystem(SimulatedDisk& disk, ScheduledCalls calls = {})
      : FaultFileSystem{disk}, disk_{disk}, which_{calls} {
    before_each([this](Call call, const Path& path) { come_to(call, path); });
    if (!calls.split_syncs) return;
    disk_.during_sync([] {
      if (Scheduler* const run = Scheduler::current()) run->point("sync, in its middle");
    });
  }

  /// Lets the `nth` call from now on fail with `error`, regardless of the search.
  void fail_call(std::uint64_t nth, std::error_code error) {
    fails_at_ = calls_ + nth;
    error_ = error;
  }
  /// Runs `look` before each call, ahead of the point.
  void watch(std::function<void()> look) { look_ = std::move(look); }

  /// The number of calls so far.
  [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
  /// The number of failed calls, whether by the search or by `fail_call`.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

 private:
  static constexpr std::array<const char*, kCallKinds> kNames{
      "open",        "read",     "write",       "sync",           "truncate",      "allocate", "map",
      "file_status", "set_mode", "set_owner",   "try_lock",       "close",         "status",   "read_link",
      "rename",      "remove",   "sync_folder", "check_writable", "current_folder"};

  [[nodiscard]] static bool changes_nothing(Call call) noexcept {
    return call == Call::read || call == Call::file_status || call == Call::status ||
           call == Call::read_link || call == Call::check_writable || call == Call::current_folder;
  }
  [[nodiscard]] static bool needs_space(Call call) noexcept {
    return call == Call::write || call == Call::allocate || call == Call::open;
  }

  void come_to(Call call, const Path& path) {
    ++calls_;
    if (look_) look_();
    Scheduler* const run = Scheduler::current();
    const bool is_point = which_.reads || !changes_nothing(call);
    if (run != nullptr && is_point)
      run->point(kNames[static_cast<std::size_t>(call)], path.filename().native());
    if (calls_ == fails_at_) return fail(call, error_);
    if (run == nullptr || !is_point) return;
    const std::uint32_t fault = run->choose_fault(needs_space(call) ? 2 : 1);
    if (fault == 1) fail(call, std::make_error_code(std::errc::io_error));
    if (fault == 2) fail(call, std::make_error_code(std::errc::no_space_on_device));
  }

  void fail(Call call, std::error_code error) {
    ++failures_;
    if (call == Call::sync || call == Call::sync_folder) return disk_.fail_sync(1);
    const bool half = error == std::errc::no_space_on_device;
    inject({.error = error, .effect = half ? Effect::partial : Effect::none});
  }

  SimulatedDisk& disk_;
  ScheduledCalls which_;
  std::function<void()> look_;
  std::uint64_t calls_ = 0;
  std::uint64_t fails_at_ = 0;
  std::error_code error_;
  std::uint64_t failures_ = 0;
};

}  // namespace support
