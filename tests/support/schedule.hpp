// SPDX-License-Identifier: MIT
#pragma once

// The course of a run of several tasks: the decisions of the scheduler, as a text that can be replayed, and
// as a path from which a search continues.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace support {

/// One of the alternatives at a point.
struct ScheduleOption {
  enum class Kind : char {
    run = '>',       ///< task `id` continues
    time_out = '!',  ///< task `id` continues, because its wait has timed out
    choice = '=',    ///< not about tasks: alternative `id` of a choice that the run asked for
  };
  Kind kind = Kind::run;
  std::uint32_t id = 0;

  friend bool operator==(const ScheduleOption&, const ScheduleOption&) = default;
};

/// The decisions of a run that differ from the default, each with the number of its point.
class Schedule {
 public:
  struct Deviation {
    std::uint64_t point;
    ScheduleOption option;
  };

  Schedule() = default;
  /// Reads a result of `text()`. @throws std::invalid_argument
  explicit Schedule(std::string_view text) {
    if (text == kNone) return;
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(','), text.size());
      deviations_.push_back(parse(text.substr(0, end)));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  void add(std::uint64_t point, ScheduleOption option) { deviations_.push_back({point, option}); }

  /// The schedule as text. `12>2,15!0,17=1` means: at point 12 task 2 continues, at point 15 the wait of task
  /// 0 times out, at point 17 alternative 1 is taken, and at every other point the default.
  [[nodiscard]] std::string text() const {
    std::string words;
    for (const Deviation& one : deviations_) {
      if (!words.empty()) words += ',';
      words += std::to_string(one.point);
      words += static_cast<char>(one.option.kind);
      words += std::to_string(one.option.id);
    }
    return words.empty() ? std::string{kNone} : words;
  }

  /// The decision at a point, if it is not the default.
  [[nodiscard]] std::optional<ScheduleOption> at(std::uint64_t point) const {
    for (const Deviation& one : deviations_) {
      if (one.point == point) return one.option;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::string_view kNone = "-";

  static Deviation parse(std::string_view text) {
    Deviation result{};
    const char* const end = text.data() + text.size();
    const auto point = std::from_chars(text.data(), end, result.point);
    if (point.ec != std::errc{} || point.ptr == end ||
        std::string_view{">!="}.find(*point.ptr) == std::string_view::npos) {
      throw std::invalid_argument{"not a schedule: " + std::string{text}};
    }
    result.option.kind = static_cast<ScheduleOption::Kind>(*point.ptr);
    const auto id = std::from_chars(point.ptr + 1, end, result.option.id);
    if (id.ec != std::errc{} || id.ptr != end)
      throw std::invalid_argument{"not a schedule: " + std::string{text}};
    return result;
  }

  std::vector<Deviation> deviations_;
};

/// The decisions of one run after another, in the order of a depth-first search.
class SchedulePath {
 public:
  /// The index of the option to take: the one that the search wants next, otherwise the first, which is the
  /// default.
  /// @throws std::logic_error if the run does not repeat its earlier questions
  std::size_t take(std::uint64_t point, std::span<const ScheduleOption> options) {
    if (depth_ == decisions_.size()) decisions_.push_back({point, 0, options.size(), options.front()});
    Decision& decision = decisions_[depth_];
    if (decision.point != point || decision.options != options.size()) {
      throw std::logic_error{"the run is not the same twice: point " + std::to_string(point) + " with " +
                             std::to_string(options.size()) + " ways to go on was point " +
                             std::to_string(decision.point) + " with " + std::to_string(decision.options)};
    }
    decision.option = options[decision.taken];
    ++depth_;
    return decision.taken;
  }

  /// Whether the finished run has reached every decision that it was to repeat.
  [[nodiscard]] bool is_followed() const noexcept { return depth_ == decisions_.size(); }

  /// Turns to the next run. @returns false after the last one
  bool advance() {
    depth_ = 0;
    while (!decisions_.empty() && decisions_.back().taken + 1 == decisions_.back().options) {
      decisions_.pop_back();
    }
    if (decisions_.empty()) return false;
    ++decisions_.back().taken;
    return true;
  }

  /// The schedule of the last run.
  [[nodiscard]] Schedule schedule() const {
    Schedule result;
    for (std::size_t i = 0; i < depth_; ++i) {
      if (decisions_[i].taken != 0) result.add(decisions_[i].point, decisions_[i].option);
    }
    return result;
  }

 private:
  struct Decision {
    std::uint64_t point;
    std::size_t taken;
    std::size_t options;
    ScheduleOption option;
  };

  std::vector<Decision> decisions_;
  std::size_t depth_ = 0;  // the number of decisions that the current run has reached
};

}  // namespace support
