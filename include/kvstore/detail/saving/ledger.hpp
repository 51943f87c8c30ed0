// SPDX-License-Identifier: MIT
#pragma once

// The book of a store's operations: each is numbered and, where the storage takes changes, entered as text.
// It is entered straight in the journal's file where that has a window, else in a log under the mutex, from
// where the next step of a save takes it. The mutex guards the state of saving as well; no storage, file or
// handler is called under it.
//
// Numbers and text keep one order. The window gives both at once. A line that it has no room for closes it,
// and from then on lines go to the log; the thread that writes the log to the file opens the window behind
// it.

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/change_log.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/contract/line_window.hpp"
#include "kvstore/detail/saving/entry_form.hpp"
#include "kvstore/detail/saving/numbers.hpp"
#include "kvstore/detail/saving/state.hpp"
#include "kvstore/detail/segment/thread_state.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// *Thread safety*: `record` and `settled` from any thread; members named `locked`, and what the first of
/// them return, under the mutex.
template <class Mutex>
class OperationLedger {
 public:
  /// `counters` outlive it. `bound` operations may be unsaved when one returns.
  OperationLedger(StoreCounters& counters, std::uint64_t bound)
      : numbers_{counters, window_}, bound_{bound} {}

  /// Any number of operations may be unsaved.
  static constexpr std::uint64_t kUnbounded = ~std::uint64_t{0};

  /// Call before the first operation. `lines` is the journal, if operations write its lines.
  void start(EntryForm form, bool has_journal, LineJournal* lines, bool wants_everything) {
    has_journal_ = has_journal;
    lines_ = lines;
    if (lines_ != nullptr) lines_->use(window_);
    if (lines_ != nullptr) numbers_.number_by_window();
    form_ = form;
    state_.start(has_journal_, form_ == EntryForm::mark, wants_everything);
  }

  [[nodiscard]] bool has_journal() const noexcept { return has_journal_; }
  /// The form that `record` needs operations in.
  [[nodiscard]] EntryForm form() const noexcept { return form_; }
  [[nodiscard]] const SaveNumbers& numbers() const noexcept { return numbers_; }
  [[nodiscard]] std::uint64_t bound() const noexcept { return bound_; }

  // For operations, which call `record` under the lock of the data that they change, and get a ticket. ------

  /// Counts operations of the calling thread, whose counters are `local`. Wait-free.
  std::uint64_t record(std::uint64_t operations, ThreadState* local) noexcept {
    if (bound_ != kUnbounded) return numbers_.count(operations);
    numbers_.count_unnumbered(local, operations);
    return kNeverOwed;
  }
  /// The same, and logs the changes as one step.
  std::uint64_t record(std::uint64_t operations, const ChangeBuffer& changes) {
    const std::scoped_lock lock{mutex_};
    if (!log_.append(changes)) owe_everything_locked();
    return numbers_.count(operations);
  }
  /// The same for a step as the line of a journal, which takes it at once if the window has room. Lock-free
  /// then.
  std::uint64_t record(std::uint64_t operations, const SealedLine& line) {
    std::uint32_t last = 0;
    const bool short_enough = line.pieces().size() <= kLongestInWindow;
    if (short_enough && window_.put(line.pieces(), static_cast<std::uint32_t>(operations), last)) [[likely]]
      return numbers_.whole(last) | kInJournal;
    return record_apart(operations, line);
  }
  /// Counts the replacement of every entry, as one operation. Only a save of everything can pass it to a
  /// storage.
  std::uint64_t record_replacement() {
    const std::scoped_lock lock{mutex_};
    log_.give_up();
    owe_everything_locked();
    return numbers_.count(1);
  }

  /// From now on only a save of everything can bring the storage up to date: marks were given up. Call under
  /// the lock of the data that they were of.
  void owe_everything() noexcept {
    const std::scoped_lock lock{mutex_};
    owe_everything_locked();
  }

  /// Whether a journal asks for the number of entries.
  [[nodiscard]] bool counts_growth() const noexcept { return has_journal_ || form_ == EntryForm::mark; }
  /// Counts entries that come and go, where that is so.
  void count_growth(ThreadState* local, std::uint64_t inserted, std::uint64_t erased) noexcept {
    if (counts_growth()) numbers_.count_growth(local, inserted, erased);
  }

  [[nodiscard]] static std::uint64_t number_of(std::uint64_t ticket) noexcept { return ticket & ~kInJournal; }
  /// Whether nothing is left to do for the operation: the journal has it, and the bound holds.
  [[nodiscard]] bool is_settled(std::uint64_t ticket) const noexcept {
    if (ticket == kNeverOwed) return true;
    const std::uint64_t number = number_of(ticket);
    // A line in the window is in the kernel's hands, unless the journal missed one before it.
    const bool handed_over = (ticket & kInJournal) != 0 ? !numbers_.owes_everything()
                                                        : !has_journal_ || numbers_.is_handed_over(number);
    return handed_over && !numbers_.owes(number, bound_);
  }

  /// Whether all operations would outlive the end of the process: the journal has them.
  [[nodiscard]] bool outlives_process() const noexcept {
    // While the window is open, nothing waits in the log.
    const bool handed_over = window_.is_open() || numbers_.is_handed_over(numbers_.numbered());
    return has_journal_ && handed_over && !numbers_.owes_everything();
  }

  // For the driver, under the mutex. -----------------------------------------------------------------------

  [[nodiscard]] Mutex& mutex() const noexcept { return mutex_; }
  [[nodiscard]] SaveState& state_locked() noexcept { return state_; }
  [[nodiscard]] const SaveState& state_locked() const noexcept { return state_; }
  [[nodiscard]] ChangeLog& log_locked() noexcept { return log_; }

  /// Tells operations the numbers that the state has come to.
  void publish_locked() noexcept { numbers_.publish(state_); }

  /// Lines go to the log from now on.
  void close_window_locked() noexcept { window_.close(); }
  /// Lets operations write their lines themselves from now on, in the stretch that the journal has made
  /// ready. A few that were logged meanwhile come first.
  void open_window_locked() noexcept {
    ChangeLog::Lines& logged = log_.lines();
    if (!state_.journal_is_good() || logged.text.size() > kLongestInWindow) return;
    if (lines_->open_window(logged.text.text(), logged.operations)) logged.clear();
  }

 private:
  static constexpr std::uint64_t kNeverOwed = kUnbounded;              // a ticket for no number
  static constexpr std::uint64_t kInJournal = std::uint64_t{1} << 63;  // in a ticket: the window has it
  // Bytes of a line. Longer ones would fill the tail after a few operations, and gain nothing by another
  // copy.
  static constexpr std::size_t kLongestInWindow = std::size_t{32} << 10;

  /// From now on only a save of everything can bring the storage up to date.
  void owe_everything_locked() noexcept {
    window_.close();
    state_.owe_everything();
    publish_locked();
  }

  /// Logs a line that the window has no room for.
  [[gnu::noinline]] std::uint64_t record_apart(std::uint64_t operations, const SealedLine& line) {
    const std::scoped_lock lock{mutex_};
    window_.close();
    const bool fits = line.pieces().size() <= kMaxLine;
    if (!fits) log_.give_up();
    if (!fits || !log_.append(line.pieces(), operations)) owe_everything_locked();
    return numbers_.count(operations);
  }

  LineWindow window_;  // opened and closed under the mutex
  SaveNumbers numbers_;
  const std::uint64_t bound_;
  bool has_journal_ = false;
  EntryForm form_ = EntryForm::none;
  LineJournal* lines_ = nullptr;

  mutable Mutex mutex_;  // guards the following; held for a few instructions, or to copy a change
  SaveState state_;
  ChangeLog log_;  // the set-aside part belongs to the thread that has the save turn
};

}}}  // namespace kvstore::v1::detail
