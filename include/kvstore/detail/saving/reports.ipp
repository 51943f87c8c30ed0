// SPDX-License-Identifier: MIT
#pragma once

// The definitions of reports.hpp.

#include <chrono>
#include <cstdint>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/saving/figures.hpp"
#include "kvstore/detail/saving/observer.hpp"
#include "kvstore/detail/saving/reports.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/saving/work.hpp"
#include "kvstore/log.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void SaveReports::begin(Errand& errand, std::uint64_t failures, Time now) noexcept {
  errand.failures = failures;
  errand.start = now;
}

KVSTORE_INLINE void SaveReports::note(Step step, Errand& errand, const StepResult& result,
                                      Time now) noexcept {
  if (step != Step::copy) figures_.add(result.done.bytes);
  if (result.journal_bytes) figures_.set_journal_bytes(*result.journal_bytes);
  if (result.whole || step == Step::save_changes || step == Step::save_marked) errand.done = result.done;
  errand.whole |= result.whole;
  errand.taken_over |= step == Step::take_over && !result.outcome.refused;
  if (step == Step::check) return note_check(errand, result, now);
  if (!ends_save(step, errand, result.outcome)) return;
  errand.done.duration = now - errand.start;
  if (errand.counts_as_compaction)
    figures_.note_compaction(errand.done.duration, result.failure);
  else
    figures_.note_save(errand.done.duration, result.failure);
  if (result.replaced_base && !errand.counts_as_compaction)
    figures_.note_compaction(errand.done.duration, {});
}

KVSTORE_INLINE bool SaveReports::tell(Step step, const Errand& errand,
                                      const StepResult& result) const noexcept {
  if (SaveState::is_made_good(step, result.outcome) || step == Step::check) {
    if (result.failure) observer_.report(result.failure);
    return false;
  }
  if (!ends_save(step, errand, result.outcome)) return false;
  if (errand.failures != 0) observer_.log(LogLevel::warning, "retried", {{"failures", errand.failures}});
  if (result.failure)
    observer_.report(result.failure, errand.counts_as_compaction ? "compaction failed" : "save failed");
  else
    observer_.log(errand.whole ? LogLevel::info : LogLevel::debug, name_of(step), errand.done);
  return result.failure != nullptr;
}

KVSTORE_INLINE void SaveReports::note_check(const Errand& errand, const StepResult& result,
                                            Time now) noexcept {
  if (result.failure)
    figures_.note_save(now - errand.start, result.failure);
  else if (errand.failures == 0)
    figures_.forget_failure();
}

KVSTORE_INLINE const char* SaveReports::name_of(Step step) noexcept {
  return step == Step::replace_base ? "compacted" : "saved";
}

KVSTORE_INLINE bool SaveReports::ends_save(Step step, const Errand& errand,
                                           const StepOutcome& outcome) noexcept {
  const bool saves = step != Step::append && step != Step::check && step != Step::copy &&
                     step != Step::take_over && step != Step::close;
  return saves && !errand.want.compacting && !outcome.refused && !SaveState::is_made_good(step, outcome);
}

}}}  // namespace kvstore::v1::detail
