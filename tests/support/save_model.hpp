// SPDX-License-Identifier: MIT
#pragma once

// A model for enumerating everything that a few threads may do to one `SaveState`, without a store. Each
// thread takes the place of `SaveDriver`. A minimal disk stands for the storage.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/detail/saving/state.hpp"
#include "support/save_model_disk.hpp"
#include "support/save_model_thread.hpp"

namespace support {

/// The properties of the modelled store.
struct ModelSetup {
  std::size_t threads = 2;
  bool journal = true;
  bool marks = false;            ///< operations mark what a save takes; without `journal`
  bool wants_everything = true;  ///< of a storage without a journal
  bool background = false;       ///< no operation waits for a save
  OperationNumber bound = 0;     ///< the number of operations that may stay unsaved
  OperationNumber changes = 2;
  std::uint8_t faults = 1;
  std::vector<ModelCall> calls{};
};

/// A state of the threads, the `SaveState` and the disk, and the transitions that leave it.
class SaveModel {
 public:
  explicit SaveModel(const ModelSetup& setup) : setup_{&setup}, faults_left_{setup.faults} {
    state_.start(setup.journal, setup.marks, !setup.journal && setup.wants_everything);
  }

  bool operator==(const SaveModel&) const = default;

  [[nodiscard]] std::size_t hash() const {
    std::uint64_t sum = 0;
    const auto add = [&](std::uint64_t word) {
      sum = (sum ^ word) * 0x9E37'79B9'7F4A'7C15U;
      sum ^= sum >> 29U;
    };
    for (std::size_t i = 0; i < setup_->threads; ++i) add(threads_[i].word());
    for (const OperationNumber one : {disk_.kill, disk_.power, disk_.written, disk_.synced, disk_.base})
      add(one);
    add(state_.handed_over() | state_.durable() << 8U | state_.failures() << 16U |
        std::uint64_t{applied_} << 24U | std::uint64_t{faults_left_} << 32U |
        std::uint64_t{replaced_} << 40U | std::uint64_t{marked_from_} << 56U);
    return static_cast<std::size_t>(sum);
  }

  /// Describes a violated promise; null if there is none.
  [[nodiscard]] const char* violation() const {
    if (wrong_ != nullptr) return wrong_;
    unsigned held = 0;
    for (const ModelThread& one : threads_) {
      if ((held & one.holds()) != 0) return "two threads have one turn";
      held |= one.holds();
      const bool works_here = one.stage == ModelThread::Stage::working && one.step != Step::copy;
      if (works_here && state_.is_closed()) return "a step of a closed storage";
    }
    if (state_.durable() > disk_.power) return "said to be durable, but power loss would take it";
    const bool claims = setup_->journal && !state_.owes_everything();
    if (claims && state_.handed_over() > disk_.kill)
      return "said to be handed over, but a kill would take it";
    return nullptr;
  }

  [[nodiscard]] bool is_idle() const {
    for (const ModelThread& one : threads_) {
      if (one.stage != ModelThread::Stage::idle) return false;
    }
    return true;
  }

  /// Calls `visit(next, is_inner, thread, words)` for each transition. `is_inner` is false if a new call
  /// begins in it, or time passes.
  template <class Visit>
  void for_each_next(const Visit& visit) const {
    for (std::size_t i = 0; i < setup_->threads; ++i) {
      switch (threads_[i].stage) {
        case ModelThread::Stage::idle:
          for (const ModelCall call : setup_->calls) begin_call(i, call, visit);
          break;
        case ModelThread::Stage::ready:
          visit(after([&](SaveModel& next) { next.go_on(next.threads_[i]); }), true, i, "goes on");
          break;
        case ModelThread::Stage::working:
          for (const StepOutcome& outcome : outcomes(threads_[i])) {
            visit(after([&](SaveModel& next) { next.end(next.threads_[i], outcome); }), true, i,
                  is_fault(outcome) ? "fails" : "succeeds");
          }
          break;
        case ModelThread::Stage::waiting:
          break;
      }
    }
    if (state_.failures() != 0 && now_ < state_.retry_at())
      visit(after([](SaveModel& next) { next.now_ = next.state_.retry_at(); }), false, 0, "time passes");
  }

  [[nodiscard]] std::string describe() const {
    std::string words;
    for (std::size_t i = 0; i < setup_->threads; ++i) {
      const ModelThread& one = threads_[i];
      constexpr std::array kStages{"idle", "ready", "waits", "works"};
      words += std::string{kStages[static_cast<std::size_t>(one.stage)]} + ' ' +
               kModelCalls[static_cast<std::size_t>(one.call)] + '/' +
               kModelSteps[static_cast<std::size_t>(one.step)] + "; ";
    }
    return words + "applied " + std::to_string(applied_) + ", handed " +
           std::to_string(state_.handed_over()) + ", durable " + std::to_string(state_.durable()) +
           ", a kill leaves " + std::to_string(disk_.kill) + ", power loss " + std::to_string(disk_.power) +
           (state_.owes_everything() ? ", everything is owed" : "");
  }

 private:
  using Kind = Want::Kind;

  static constexpr OperationNumber kNeverTaken = 255;
  static constexpr std::uint64_t kAnyNumber = ~std::uint64_t{0};

  template <class Do>
  [[nodiscard]] SaveModel after(const Do& action) const {
    SaveModel next = *this;
    action(next);
    std::sort(next.threads_.begin(),
              next.threads_.begin() + setup_->threads,  // threads are interchangeable
              [](const ModelThread& a, const ModelThread& b) { return a.word() < b.word(); });
    return next;
  }

  // Calls -----------------------------------------------------------------------------------------

  template <class Visit>
  void begin_call(std::size_t thread, ModelCall call, const Visit& visit) const {
    const bool changes = call == ModelCall::put || call == ModelCall::replace;
    if (changes && (applied_ == setup_->changes || closing_ || state_.is_closed())) return;
    if (call == ModelCall::close && (closing_ || state_.is_closed())) return;
    visit(after([&](SaveModel& next) { next.begin(next.threads_[thread], call); }), false, thread,
          kModelCalls[static_cast<std::size_t>(call)]);
  }

  void begin(ModelThread& thread, ModelCall call) {
    if (call == ModelCall::put || call == ModelCall::replace) ++applied_;
    if (call == ModelCall::replace) {
      replaced_ |= 1U << applied_;
      marked_from_ = applied_;  // marks are given up, at worst also those that a save is about to take
      taken_from_ = kNeverTaken;
      state_.owe_everything();
    }
    closing_ = closing_ || call == ModelCall::close;
    thread = {.stage = ModelThread::Stage::ready, .call = call, .ticket = applied_};
    thread.want = want_of(thread);
  }

  [[nodiscard]] Want want_of(const ModelThread& thread) const {
    switch (thread.call) {
      case ModelCall::put:
      case ModelCall::replace:
        return {.ticket = thread.ticket,
                .allowed = thread.second || !setup_->journal ? setup_->bound : kAnyNumber};
      case ModelCall::auto_save:
        return {.ticket = thread.ticket, .complete = true};
      case ModelCall::compact:
        if (setup_->journal) return {.kind = Kind::all};
        break;
      case ModelCall::copy:
        return {.kind = Kind::copy};
      case ModelCall::take_over:
        return {.kind = Kind::take_over};
      case ModelCall::close:
        if (thread.second) return {.kind = Kind::close};
        break;
      case ModelCall::save:
        break;
    }
    return {.ticket = thread.ticket, .complete = true, .insist = true};
  }

  [[nodiscard]] static bool is_change(const ModelThread& thread) {
    return thread.call == ModelCall::put || thread.call == ModelCall::replace;
  }

  /// Ends a want that was met: turns to the next want of the call, or ends the call.
  void go_beyond(ModelThread& thread) {
    const bool waits = is_change(thread) && setup_->journal && !setup_->background;
    if (!thread.second && (waits || thread.call == ModelCall::close)) {
      thread.second = true;
      thread.want = want_of(thread);
      return;
    }
    check_promise(thread);
    leave(thread);
  }
  void leave(ModelThread& thread) {
    if (thread.call == ModelCall::close) closing_ = false;
    thread = {};
  }

  /// Checks the promises of the call that returns now.
  void check_promise(const ModelThread& thread) {
    if (thread.call == ModelCall::copy || thread.call == ModelCall::take_over) return;
    const bool kept = !is_change(thread) || !setup_->background;
    const unsigned allowed = is_change(thread) ? setup_->bound : 0;
    if (kept && disk_.power + allowed < thread.ticket) wrong_ = "returned, but power loss would take it";
    if (setup_->journal && disk_.kill < thread.ticket) wrong_ = "returned, but a kill would take it";
    if (thread.call == ModelCall::close && !state_.is_closed()) wrong_ = "a close that has not closed";
    if (thread.call == ModelCall::close && disk_.lost) wrong_ = "a close beside a file that is gone";
    if (thread.call == ModelCall::close && disk_.power < applied_) wrong_ = "a close without an operation";
  }

  // Steps -----------------------------------------------------------------------------------------

  void go_on(ModelThread& thread) {
    if (is_change(thread) && !setup_->journal && setup_->background) return go_beyond(thread);
    const Decision next = state_.next(thread.want, applied_, now_);
    switch (next.step) {
      case Step::done:
        return go_beyond(thread);
      case Step::wait:
        thread.awaited = next.awaited;
        thread.stage = ModelThread::Stage::waiting;
        return;
      case Step::fail:
        if (faults_left_ == setup_->faults) wrong_ = "failed without a fault";
        return leave(thread);
      case Step::closed:
        if (!state_.is_closed()) wrong_ = "told that an open store is closed";
        return leave(thread);
      default:
        begin_step(thread, next.step);
    }
  }

  void begin_step(ModelThread& thread, Step step) {
    wake(state_.begin(step, thread.want, applied_));
    thread.stage = ModelThread::Stage::working;
    thread.step = step;
    thread.afresh = state_.begins_afresh();
    thread.upto = step == Step::sync || step == Step::sync_joined ? disk_.written : applied_;
    if (step == Step::save_marked || step == Step::save_all)
      taken_from_ = std::exchange(marked_from_, applied_);
    thread.awaited = Turn::none;
    for (const ModelThread& other : threads_) {
      const bool waits = other.want.compacting && other.stage != ModelThread::Stage::working;
      if (waits && (thread.holds() & static_cast<unsigned>(other.awaited)) != 0)
        wrong_ = "takes a turn that is kept for a compaction";
    }
  }

  void end(ModelThread& thread, const StepOutcome& outcome) {
    if (is_fault(outcome)) --faults_left_;
    const Step step = thread.step;
    change_disk(thread, outcome);
    thread.step = Step::done;
    thread.upto = 0;
    thread.afresh = false;
    thread.stage = ModelThread::Stage::ready;
    wake(state_.end(step, thread.want, outcome, now_));
    if (outcome.failed && !SaveState::is_made_good(step, outcome)) leave(thread);
  }

  void wake(Turn given) {
    for (ModelThread& one : threads_) {
      if (one.stage != ModelThread::Stage::waiting || (one.awaited & given) == Turn::none) continue;
      if (!one.want.compacting) one.awaited = Turn::none;
      one.stage = ModelThread::Stage::ready;
    }
  }

  void change_disk(const ModelThread& thread, const StepOutcome& outcome) {
    const bool appends = thread.step == Step::append || thread.step == Step::rotate;
    if (outcome.broke) disk_.miss(!appends);
    // A join declines what no line can hold; the others miss their file.
    const bool declined = outcome.declined && thread.step != Step::join;
    if (outcome.broke && (thread.step == Step::check || declined)) disk_.lose();
    if (outcome.failed || outcome.refused) return;
    switch (thread.step) {
      case Step::append:
        return disk_.append(thread.upto, replaced_);
      case Step::sync:
        return disk_.sync(thread.upto);
      case Step::save_changes:
        return is_logged(thread.upto) ? disk_.save(thread.upto) : void();
      case Step::save_marked:
        return taken_from_ <= disk_.power && is_logged(thread.upto) ? disk_.save(thread.upto) : void();
      case Step::save_all:
        return disk_.save(thread.upto);
      case Step::join:
        return disk_.append(thread.upto, replaced_);
      case Step::rotate:
        return thread.afresh ? disk_.begin_afresh(thread.upto) : disk_.append(thread.upto, replaced_);
      case Step::write_base:
        disk_.base = thread.upto;
        return;
      case Step::sync_joined:
        disk_.joined = disk_.poisoned ? OperationNumber{0} : thread.upto;
        return;
      case Step::replace_base:
        // Otherwise a reader would apply an older line of the journal to a newer state of an entry.
        if (disk_.base > std::min<std::uint64_t>(disk_.written, state_.handed_over()))
          wrong_ = "a base file with operations that its journal has not";
        return disk_.replace_base();
      default:
        return;
    }
  }
  [[nodiscard]] bool is_logged(OperationNumber last) const {
    return (((std::uint32_t{2} << last) - (std::uint32_t{2} << disk_.power)) & replaced_) == 0;
  }

  [[nodiscard]] bool is_fault(const StepOutcome& outcome) const {
    return outcome.failed || outcome.broke || outcome.refused;
  }
  /// The possible outcomes of a step.
  [[nodiscard]] std::vector<StepOutcome> outcomes(const ModelThread& thread) const {
    const bool everything = !setup_->journal && setup_->wants_everything;
    std::vector<StepOutcome> all{{.wants_everything = everything}};
    const bool outgrows = setup_->marks && thread.step == Step::save_marked;
    if (outgrows) all.push_back({.wants_everything = true});
    if (faults_left_ == 0 || thread.step == Step::close) return all;
    const bool loses_marks = outgrows || (setup_->marks && thread.step == Step::save_all);
    if (outgrows) all.push_back({.failed = true, .declined = true, .broke = true});
    if (thread.step == Step::save_changes || (thread.step == Step::save_all && !loses_marks))
      all.push_back({.failed = true, .wants_everything = true});
    if (thread.step == Step::save_changes) all.push_back({.wants_everything = true, .refused = true});
    if (thread.step == Step::sync || thread.step == Step::join)
      all.push_back({.failed = true, .declined = true, .broke = true});
    if (thread.step == Step::check) all.push_back({.broke = true});
    const bool may_break = loses_marks || thread.step == Step::append || thread.step == Step::sync ||
                           thread.step == Step::join || thread.step == Step::sync_joined ||
                           (thread.step == Step::rotate && !thread.afresh);
    if (may_break) all.push_back({.failed = true, .broke = true, .wants_everything = everything});
    const bool only_breaks = loses_marks || thread.step == Step::append || thread.step == Step::sync ||
                             thread.step == Step::join || thread.step == Step::sync_joined;
    if (!only_breaks) all.push_back({.failed = true, .wants_everything = everything});
    return all;
  }

  const ModelSetup* setup_;
  SaveState state_;
  SaveState::Time now_{};
  std::array<ModelThread, 3> threads_{};
  ModelDisk disk_;
  OperationNumber applied_ = 0;
  OperationNumber marked_from_ = 0;  // marks stand for the operations after this one
  OperationNumber taken_from_ = 0;   // the same for those that a save under way has taken
  std::uint32_t replaced_ = 0;       // one bit for each operation that replaced all entries
  std::uint8_t faults_left_;
  bool closing_ = false;
  const char* wrong_ = nullptr;
};

}  // namespace support
