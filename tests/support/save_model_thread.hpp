// SPDX-License-Identifier: MIT
#pragma once

// A thread of a `SaveModel`.

#include <array>
#include <cstdint>

#include "kvstore/detail/saving/state.hpp"
#include "support/save_model_disk.hpp"

namespace support {

using kvstore::detail::Decision;
using kvstore::detail::SaveState;
using kvstore::detail::Step;
using kvstore::detail::StepOutcome;
using kvstore::detail::Turn;
using kvstore::detail::Want;

/// The call that a thread executes.
enum class ModelCall : std::uint8_t { put, replace, save, auto_save, compact, copy, take_over, close };
inline constexpr std::array kModelCalls{"put",     "replace", "save",      "auto_save",
                                        "compact", "copy",    "take_over", "close"};
inline constexpr std::array kModelSteps{"done", "wait",         "fail",         "closed",   "append",
                                        "sync", "save_changes", "save_marked",  "save_all", "check",
                                        "copy", "take_over",    "prepare",      "rotate",   "write_base",
                                        "join", "sync_joined",  "replace_base", "close"};

struct ModelThread {
  enum class Stage : std::uint8_t { idle, ready, waiting, working };

  Stage stage = Stage::idle;
  ModelCall call = ModelCall::put;
  bool second = false;         ///< whether the call is at its second want
  OperationNumber ticket = 0;  ///< the number of the last operation when the call began
  Turn awaited = Turn::none;
  Step step = Step::done;    ///< the step under way
  OperationNumber upto = 0;  ///< the last operation that the step concerns
  bool afresh = false;
  Want want{};

  bool operator==(const ModelThread&) const = default;

  /// A number that differs between different threads.
  [[nodiscard]] std::uint64_t word() const {
    return static_cast<std::uint64_t>(stage) | static_cast<std::uint64_t>(call) << 4U |
           static_cast<std::uint64_t>(step) << 8U | static_cast<std::uint64_t>(awaited) << 16U |
           std::uint64_t{ticket} << 24U | std::uint64_t{upto} << 32U | std::uint64_t{want.compacting} << 48U |
           std::uint64_t{want.checked} << 49U | std::uint64_t{want.appended} << 50U |
           std::uint64_t{want.met} << 51U | std::uint64_t{second} << 52U | std::uint64_t{afresh} << 53U;
  }

  /// The turns that the thread holds. This table repeats the one at the head of state.hpp on purpose.
  [[nodiscard]] unsigned holds() const {
    constexpr unsigned kAppend = 1;
    constexpr unsigned kSave = 2;
    constexpr unsigned kSnapshot = 4;
    const unsigned compaction = want.compacting ? kSnapshot : 0;
    if (stage != Stage::working) return compaction;
    switch (step) {
      case Step::append:
        return kAppend;
      case Step::sync:
      case Step::save_changes:
        return kSave;
      case Step::save_marked:
      case Step::save_all:
      case Step::check:
      case Step::take_over:
        return kSave | kSnapshot;
      case Step::copy:
        return kSnapshot;
      case Step::rotate:
      case Step::join:
        return compaction | kAppend | kSave;
      case Step::close:
        return kAppend | kSave | kSnapshot;
      default:
        return compaction;
    }
  }
};

}  // namespace support
