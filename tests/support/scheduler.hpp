// SPDX-License-Identifier: MIT
#pragma once

// A scheduler that decides at each point which of several tasks continues, and a search through all of its
// decisions. The method is that of CHESS (M. Musuvathi and S. Qadeer, "Iterative Context Bounding for
// Systematic Testing of Multithreaded Programs", 2007). scheduled_waiting.hpp has locks, conditions, threads
// and a clock for the tasks.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/schedule.hpp"
#include "support/search_terms.hpp"
#include "support/task_threads.hpp"

namespace support {

/// One run: its tasks and the decisions between them. Tasks are threads, of which one runs at a time. Only
/// the running task may call the members.
class Scheduler {
 public:
  using Time = std::chrono::nanoseconds;
  /// Whether a waiting task may continue. The argument is the object that the task waits for.
  using MayGoOn = bool (*)(const void* what);

  /// The number of a task, in the order of their start. The task that runs the scenario is number 0.
  using TaskId = std::uint32_t;

  struct Actor {
    std::string name;
    std::function<void()> body;
  };

  /// The run that has the calling thread as a task; null for other threads.
  [[nodiscard]] static Scheduler* current() noexcept { return current_scheduler; }

  /// During the lifetime of an `Aside`, the calling thread is not a task, and its actions are not points.
  /// Useful to inspect objects that no other task uses.
  class Aside {
   public:
    Aside() : run_{std::exchange(current_scheduler, nullptr)} {}
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
    ~Aside() { current_scheduler = run_; }

   private:
    Scheduler* const run_;
  };

  // For scenarios ---------------------------------------------------------------------------------

  /// Runs the actors at the same time, and returns when all have ended. The search explores only while the
  /// actors run. Before and after, a task continues for as long as it can.
  void run_together(std::vector<Actor> actors) {
    const std::size_t first = tasks_.size();
    for (Actor& actor : actors) start(std::move(actor.name), std::move(actor.body));
    together_ = {first, tasks_.size()};
    exploring_ = true;
    wait(
        "run_together", [](const void* self) { return static_cast<const Scheduler*>(self)->all_ended(); },
        this);
    exploring_ = false;
  }

  // For the replacements of system facilities -----------------------------------------------------

  /// A point, at which another task may continue. `what` lives for ever; `detail` is copied.
  void point(const char* what, std::string_view detail = {}) {
    note(what, detail);
    switch_from(/*can_go_on=*/true);
  }

  /// Waits until `may_go_on(object)` holds.
  void wait(const char* what, MayGoOn may_go_on, const void* object, std::string_view detail = {}) {
    note(what, detail);
    Task& task = *running_;
    task.may_go_on = may_go_on;
    task.object = object;
    switch_from(/*can_go_on=*/false);
    task.may_go_on = nullptr;
  }

  /// The same, or until a time-out, which is possible only while `may_end(object)` holds. @returns false
  /// after a time-out
  bool wait_until(const char* what, MayGoOn may_go_on, MayGoOn may_end, const void* object, Time deadline,
                  std::string_view detail = {}) {
    Task& task = *running_;
    task.may_time_out = may_end;
    task.deadline = deadline;
    task.timed_out = false;
    wait(what, may_go_on, object, detail);
    task.may_time_out = nullptr;
    return !task.timed_out;
  }

  /// Begins a task, which may run before this returns. @returns the number of the task
  TaskId fork(std::string name, std::function<void()> body) {
    const TaskId id = start(std::move(name), std::move(body));
    point("start of a thread");
    return id;
  }
  [[nodiscard]] bool has_ended(TaskId id) const { return tasks_[id].ended; }
  [[nodiscard]] std::thread::id thread_of(TaskId id) const { return tasks_[id].thread->id(); }
  void join(TaskId id) {
    if (has_ended(id)) return;
    wait("join", [](const void* task) { return static_cast<const Task*>(task)->ended; }, &tasks_[id]);
  }

  /// Picks one of `count` alternatives; the search explores each of them. The first is the default.
  std::uint32_t choose(std::uint32_t count) {
    if (count < 2 || !exploring_) return 0;
    options_.clear();
    for (std::uint32_t i = 0; i < count; ++i) options_.push_back({ScheduleOption::Kind::choice, i});
    ++points_;
    try {
      return decide().id;
    } catch (const std::exception& error) { give_up(error.what()); }
    Baton& own = running_->thread->baton;
    over_.give();
    own.await();  // for ever
    return 0;
  }
  /// Picks one of `count` faults, or none, which is 0. The search explores all of them, with at most
  /// `SearchLimits::faults` faults in a run.
  std::uint32_t choose_fault(std::uint32_t count) {
    if (faults_left_ == 0) return 0;
    const std::uint32_t chosen = choose(count + 1);
    if (chosen != 0) --faults_left_;
    return chosen;
  }

  /// A name that is unique in this run, for traces: the number of the names so far.
  [[nodiscard]] static std::string new_name() {
    return current_scheduler == nullptr ? std::string{} : '#' + std::to_string(++current_scheduler->names_);
  }

  [[nodiscard]] Time now() const noexcept { return now_; }
  [[nodiscard]] bool every_lock() const noexcept { return limits_.every_lock; }

  /// Records that something is wrong. The first record counts.
  void note_finding(const std::string& what) {
    if (!finding_) finding_ = Finding{what, {}, describe_tasks()};
  }
  [[nodiscard]] std::uint64_t points() const noexcept { return points_; }

 private:
  friend class Search;

  struct Task {
    TaskId id;
    std::string name;
    std::unique_ptr<TaskThread> thread;
    bool ended = false;
    MayGoOn may_go_on = nullptr;     // null: the task may continue
    MayGoOn may_time_out = nullptr;  // null: the wait has no time-out
    const void* object = nullptr;    // the argument of both
    Time deadline{};
    bool timed_out = false;
    const char* place = "start";
    std::string detail{};
  };

  /// Decides by `replayed`, or by `path` if `replayed` is null.
  Scheduler(const SearchLimits& limits, TaskThreads& threads, SchedulePath* path, const Schedule* replayed,
            std::function<void(const std::string&)> trace)
      : limits_{limits},
        threads_{threads},
        path_{path},
        replayed_{replayed},
        trace_{std::move(trace)},
        preemptions_left_{limits.preemptions},
        time_outs_left_{limits.time_outs},
        faults_left_{limits.faults} {}

  // For the thread of the search ------------------------------------------------------------------

  /// @returns the finding, if any. Tasks that still wait then never continue, and the objects that they use
  /// are never destroyed.
  std::optional<Finding> run(const std::function<void(Scheduler&)>& scenario) {
    start("main", [&] { scenario(*this); });
    running_ = &tasks_.front();
    running_->thread->baton.give();
    over_.await();
    for (Task& task : tasks_) {
      if (task.ended)
        threads_.put_back(std::move(task.thread));
      else
        TaskThread::abandon(std::move(task.thread));
    }
    return std::move(finding_);
  }

  // Tasks -----------------------------------------------------------------------------------------

  TaskId start(std::string name, std::function<void()> body) {
    const auto id = static_cast<TaskId>(tasks_.size());
    Task& task = tasks_.emplace_back(Task{.id = id, .name = std::move(name), .thread = threads_.take()});
    task.thread->set_job([this, body = std::move(body)] { carry_out(body); }, [this, &task] { end(task); });
    return id;
  }

  void carry_out(const std::function<void()>& body) {
    current_scheduler = this;
    try {
      body();
    } catch (const std::exception& error) {
      note_finding(running_->name + ": " + error.what());
    } catch (...) { note_finding(running_->name + ": an unknown exception"); }
  }

  /// The last action of the thread in this run.
  void end(Task& task) {
    current_scheduler = nullptr;
    task.ended = true;
    task.place = "the end";
    task.detail.clear();
    if (task.id == 0) return end_run();
    if (all_ended()) exploring_ = false;
    ++points_;  // every decision has a number of its own
    Task* const next = next_task(/*can_go_on=*/false);
    if (next == nullptr) return over_.give();
    running_ = next;
    next->thread->baton.give();
  }
  void end_run() {
    for (const Task& task : tasks_) {
      if (!task.ended) note_finding("the scenario has ended, but " + task.name + " has not");
    }
    over_.give();
  }

  [[nodiscard]] bool all_ended() const {
    for (std::size_t i = together_.first; i < together_.second; ++i) {
      if (!tasks_[i].ended) return false;
    }
    return true;
  }

  void note(const char* what, std::string_view detail) {
    running_->place = what;
    running_->detail = detail;
    ++points_;
    if (trace_) trace_(std::to_string(points_) + ' ' + describe(*running_));
  }

  void switch_from(bool can_go_on) {
    Task* const self = running_;
    Task* const next = next_task(can_go_on);
    if (next == self) return;
    Baton& own = self->thread->baton;  // looked up now: once another thread continues, the run may end
    if (next == nullptr) {
      over_.give();
    } else {
      running_ = next;
      next->thread->baton.give();
    }
    own.await();
  }

  // Decisions -------------------------------------------------------------------------------------

  /// Decides which task continues; null if none can, or if the run has failed for good.
  Task* next_task(bool can_go_on) {
    if (points_ > limits_.points)
      return give_up("the run does not end: more points than SearchLimits::points");
    list_options(can_go_on);
    if (options_.empty() && !let_time_pass()) return give_up("no task can go on");
    try {
      const ScheduleOption option = decide();
      Task& next = tasks_[option.id];
      pay(option, can_go_on);
      if (option.kind == ScheduleOption::Kind::time_out) {
        next.timed_out = true;
        now_ = std::max(now_, next.deadline);
      } else if (&next != running_) {
        idle_ = 0;
      }
      return &next;
    } catch (const std::exception& error) { return give_up(error.what()); }
  }

  void pay(ScheduleOption option, bool can_go_on) {
    if (forced_) return;
    if (option.kind == ScheduleOption::Kind::time_out)
      --time_outs_left_;
    else if (can_go_on && option.id != running_->id)
      --preemptions_left_;
  }

  Task* give_up(const std::string& why) {
    note_finding(why);
    return nullptr;
  }

  void list_options(bool can_go_on) {
    using Kind = ScheduleOption::Kind;
    forced_ = false;
    options_.clear();
    if (can_go_on) options_.push_back({Kind::run, running_->id});
    if (can_go_on && (!exploring_ || (preemptions_left_ == 0 && time_outs_left_ == 0))) return;
    for (const Task& task : tasks_) {
      if (task.ended || (can_go_on && &task == running_)) continue;
      const bool may_go_on = task.may_go_on == nullptr || task.may_go_on(task.object);
      if (may_go_on && (!can_go_on || preemptions_left_ != 0)) options_.push_back({Kind::run, task.id});
      if (!may_go_on && exploring_ && time_outs_left_ != 0 && may_time_out(task)) {
        options_.push_back({Kind::time_out, task.id});
      }
    }
    // A time-out is never the default while a task can continue.
    std::stable_partition(options_.begin(), options_.end(),
                          [](ScheduleOption one) { return one.kind == Kind::run; });
    if (!options_.empty() && options_.front().kind == Kind::time_out) options_.clear();
  }

  [[nodiscard]] static bool may_time_out(const Task& task) {
    return task.may_time_out != nullptr && task.may_time_out(task.object);
  }

  /// Moves time forward to the earliest deadline. Called when no task can continue.
  bool let_time_pass() {
    const Task* first = nullptr;
    for (const Task& task : tasks_) {
      if (task.ended || !may_time_out(task)) continue;
      if (first == nullptr || task.deadline < first->deadline) first = &task;
    }
    if (first == nullptr || ++idle_ > kMaxIdle) return false;
    forced_ = true;
    options_.push_back({ScheduleOption::Kind::time_out, first->id});
    return true;
  }

  /// Picks one of `options_`.
  ScheduleOption decide() {
    if (options_.size() == 1 || !exploring_) return options_.front();
    if (replayed_ == nullptr) return options_[path_->take(points_, options_)];
    const auto wanted = replayed_->at(points_);
    if (!wanted) return options_.front();
    if (std::find(options_.begin(), options_.end(), *wanted) == options_.end()) {
      throw std::logic_error{"the schedule does not fit at point " + std::to_string(points_)};
    }
    return *wanted;
  }

  [[nodiscard]] static std::string describe(const Task& task) {
    std::string words = std::to_string(task.id) + ' ' + task.name + ": " + task.place;
    if (!task.detail.empty()) words += ' ' + task.detail;
    return words;
  }
  [[nodiscard]] std::string describe_tasks() const {
    std::string words;
    for (const Task& task : tasks_)
      words += "  " + describe(task) + (task.may_go_on != nullptr ? ", waits\n" : "\n");
    return words;
  }

  static constexpr int kMaxIdle = 50;  // consecutive time-outs after which nothing would move any more
  static inline thread_local Scheduler* current_scheduler = nullptr;

  const SearchLimits& limits_;
  TaskThreads& threads_;
  SchedulePath* path_;
  const Schedule* replayed_;
  std::function<void(const std::string&)> trace_;
  std::deque<Task> tasks_;
  Task* running_ = nullptr;
  std::pair<std::size_t, std::size_t> together_{0, 0};  // tasks [first, second)
  bool exploring_ = false;
  std::vector<ScheduleOption> options_;
  bool forced_ = false;  // the only option costs nothing
  unsigned preemptions_left_;
  unsigned time_outs_left_;
  unsigned faults_left_;
  std::uint64_t points_ = 0;
  int idle_ = 0;
  std::uint64_t names_ = 0;
  Time now_ = std::chrono::hours{1};  // not 0, so that there are times in the past
  std::optional<Finding> finding_;
  Baton over_;
};

}  // namespace support
