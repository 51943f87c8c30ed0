// SPDX-License-Identifier: MIT
#pragma once

// A bar in the last line of a terminal, for work that takes a while; nothing at all in a pipe.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <kvstore/options.hpp>
#include <string>
#include <string_view>
#include <utility>

/// Draws on standard error, so that what a program prints stays clean. Erased when it is destroyed.
class ProgressBar {
 public:
  /// `what` is in front of the bar; without it, the phase of what is reported.
  explicit ProgressBar(std::string what = {}) : what_{std::move(what)} {}
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { erase(); }

  /// For `Options::on_progress` and `MigrateOptions::on_progress`.
  void operator()(const kvstore::Progress& progress) {
    if (progress.finished) return erase();
    show(what_.empty() ? name_of(progress.phase) : what_, progress.fraction);
  }
  /// `fraction` is between 0 and 1.
  void operator()(double fraction) { show(what_, fraction); }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPatience{100};  // what takes less needs no bar
  static constexpr std::chrono::milliseconds kPause{50};      // between two pictures
  static constexpr std::size_t kWidth = 40;

  void show(std::string_view what, double fraction) {
    const auto now = Clock::now();
    if (!terminal_ || now < next_) return;
    next_ = now + kPause;
    drawn_ = true;
    const auto filled = static_cast<std::size_t>(std::clamp(fraction, 0.0, 1.0) * kWidth);
    const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
    const auto percent = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100);
    std::cerr << '\r' << what << " [" << bar << "] " << percent << " %" << std::flush;
  }

  void erase() {
    if (drawn_) std::cerr << "\r\033[K" << std::flush;
    drawn_ = false;
    next_ = Clock::now() + kPatience;
  }

  std::string what_;
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
  Clock::time_point next_ = Clock::now() + kPatience;
};
