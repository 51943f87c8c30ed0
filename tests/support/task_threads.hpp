// SPDX-License-Identifier: MIT
#pragma once

// Threads that execute one task after another, and stand still unless told to continue. So a scheduler can
// let exactly one of them run at a time.

#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sched.h>
#include <semaphore.h>
#else
#include "support/semaphore.hpp"
#endif

namespace support {

/// Lets one thread continue at a time. Linux's own semaphore is known to be fast, and a switch between two
/// threads is most of the cost of a schedule.
#ifdef __linux__
class Baton {
 public:
  Baton() { ::sem_init(&semaphore_, 0, 0); }
  Baton(const Baton&) = delete;
  Baton& operator=(const Baton&) = delete;
  ~Baton() { ::sem_destroy(&semaphore_); }

  void give() { ::sem_post(&semaphore_); }
  void await() {
    while (::sem_wait(&semaphore_) != 0) {}  // repeated if a signal interrupts
  }

 private:
  ::sem_t semaphore_{};
};
#else
class Baton {
 public:
  void give() { semaphore_.release(); }
  void await() { semaphore_.acquire(); }

 private:
  Semaphore semaphore_;
};
#endif

/// A thread for tasks. Giving `baton` lets the thread begin its job, or continue after an `await` in the job.
class TaskThread {
 public:
  TaskThread() : thread_{[this] { run(); }} {}
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;
  /// Call only while the thread has no job.
  ~TaskThread() {
    stopping_ = true;
    baton.give();
    thread_.join();
  }

  [[nodiscard]] std::thread::id id() const noexcept { return thread_.get_id(); }

  /// Takes the function to call once the baton is given, and the function to call afterwards. The second one
  /// passes the baton on. No other thread may wait for anything after that.
  void set_job(std::function<void()> job, std::function<void()> then) {
    job_ = std::move(job);
    then_ = std::move(then);
  }

  /// Leaves a thread behind until the end of the process. It never gets the baton again.
  static void abandon(std::unique_ptr<TaskThread> thread) {
    thread->thread_.detach();
    static_cast<void>(thread.release());
  }

  Baton baton;

 private:
  void run() {
    for (;;) {
      baton.await();
      if (stopping_) return;
      job_();
      job_ = nullptr;
      const auto then = std::exchange(then_, nullptr);
      then();
    }
  }

  bool stopping_ = false;
  std::function<void()> job_;
  std::function<void()> then_;
  std::thread thread_;
};

/// The threads of one scheduler, kept for later runs.
class TaskThreads {
 public:
  /// Takes a free thread, for good or until it is put back.
  [[nodiscard]] std::unique_ptr<TaskThread> take() {
    if (idle_.empty()) return std::make_unique<TaskThread>();
    auto thread = std::move(idle_.back());
    idle_.pop_back();
    return thread;
  }
  void put_back(std::unique_ptr<TaskThread> thread) { idle_.push_back(std::move(thread)); }

 private:
  std::vector<std::unique_ptr<TaskThread>> idle_;
};

/// Keeps the calling thread, and the threads that it starts, on one processor while this object lives. Since
/// only one of them runs at a time, another processor would only have to be woken from sleep.
class OneProcessor {
 public:
#ifdef __linux__
  /// The number of the processor of the calling thread.
  [[nodiscard]] static int here() { return ::sched_getcpu(); }

  explicit OneProcessor(int processor) {
    known_ = processor >= 0 && ::sched_getaffinity(0, sizeof(before_), &before_) == 0;
    if (!known_) return;
    ::cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(processor), &one);
    ::sched_setaffinity(0, sizeof(one), &one);
  }
  ~OneProcessor() {
    if (known_) ::sched_setaffinity(0, sizeof(before_), &before_);
  }
#else
  [[nodiscard]] static int here() { return -1; }
  explicit OneProcessor(int /*processor*/) {}
#endif
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;

#ifdef __linux__
 private:
  ::cpu_set_t before_{};
  bool known_ = false;
#endif
};

}  // namespace support
