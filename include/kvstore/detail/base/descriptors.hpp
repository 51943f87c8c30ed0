// SPDX-License-Identifier: MIT
#pragma once

// What the numbers of open files mean to the rest of a process: 0, 1 and 2 are standard input, output and
// error, even where a program has them closed, and a forked child has every one of its parent's.

#include <atomic>
#include <cerrno>
#include <new>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

#ifdef _WIN32

/// Windows gives no file the number of another.
class StandardFiles {
 public:
  StandardFiles() noexcept {}
  ~StandardFiles() {}
  StandardFiles(const StandardFiles&) = delete;
  StandardFiles& operator=(const StandardFiles&) = delete;
};

#else

/// What all `StandardFiles` of a process share. One for all shared objects, whatever they hide, since all of
/// them have the same numbers.
struct StandardFillers {
  std::atomic_flag busy;
  unsigned users = 0;   // under `busy`
  unsigned filled = 0;  // under `busy`: a bit for each number
};
[[gnu::visibility("default")]] inline constinit StandardFillers standard_fillers;

/// While one exists, 0, 1 and 2 are taken, so that nothing is opened under them. A program may have these
/// closed, and another thread prints to them while a file is opened: raising a number afterwards is too late.
///
/// The fillers refuse to be read and written, as closed numbers do. They go when the last of these goes.
///
/// *Thread safety*: any number at once. *Complexity*: three system calls where nothing is closed.
class StandardFiles {
 public:
  StandardFiles() noexcept {
    enter();
    ++standard_fillers.users;
    fill();
    leave();
  }
  StandardFiles(const StandardFiles&) = delete;
  StandardFiles& operator=(const StandardFiles&) = delete;
  ~StandardFiles() {
    enter();
    if (standard_fillers.users != 0 && --standard_fillers.users == 0) release();  // 0: made before a fork
    leave();
  }

  /// In a forked child, where nobody else is: the threads that had some of these do not exist.
  static void begin_child() noexcept {
    standard_fillers.users = 0;
    release();
    leave();
  }

 private:
  static void enter() noexcept {
    while (standard_fillers.busy.test_and_set(std::memory_order_acquire)) {
      standard_fillers.busy.wait(true, std::memory_order_relaxed);
    }
  }
  static void leave() noexcept {
    standard_fillers.busy.clear(std::memory_order_release);
    standard_fillers.busy.notify_one();
  }

  static void fill() noexcept {
    const int error = errno;
    while (::fcntl(STDIN_FILENO, F_GETFD) < 0 || ::fcntl(STDOUT_FILENO, F_GETFD) < 0 ||
           ::fcntl(STDERR_FILENO, F_GETFD) < 0) {
      const int number = ::open("/", O_PATH | O_CLOEXEC);  // the lowest that is free
      if (number > STDERR_FILENO) ::close(number);         // another thread was faster
      if (number < 0) break;
      if (number <= STDERR_FILENO) standard_fillers.filled |= 1U << static_cast<unsigned>(number);
    }
    errno = error;
  }

  /// The program may have put a file of its own in a filler's place by now.
  static void release() noexcept {
    const int error = errno;
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
      if ((standard_fillers.filled >> static_cast<unsigned>(number) & 1U) == 0) continue;
      const int flags = ::fcntl(number, F_GETFL);
      if (flags >= 0 && (flags & O_PATH) != 0) ::close(number);
    }
    standard_fillers.filled = 0;
    errno = error;
  }
};

class LockedDescriptor;
[[gnu::visibility("default")]] inline constinit std::atomic<LockedDescriptor*> locked_descriptors = nullptr;

/// The number of an open file that carries a lock, in a list that lives as long as the process.
///
/// `flock` locks what was opened, and a forked child has that open too: the lock would outlive a parent that
/// is killed for as long as the child lives. So a child closes these numbers before anything else.
class LockedDescriptor {
 public:
  /// Lists a number; null if memory does not suffice for that. *Thread safety*: any, without a lock, which a
  /// forked child could find taken.
  static LockedDescriptor* list(int number) noexcept {
    for (auto* known = locked_descriptors.load(std::memory_order_acquire); known != nullptr;
         known = known->next_) {
      int none = kFree;
      if (known->number_.compare_exchange_strong(none, number, std::memory_order_relaxed)) return known;
    }
    auto* const added = new (std::nothrow) LockedDescriptor{number};
    if (added == nullptr) return nullptr;
    added->next_ = locked_descriptors.load(std::memory_order_relaxed);
    while (!locked_descriptors.compare_exchange_weak(added->next_, added, std::memory_order_release,
                                                     std::memory_order_relaxed)) {}
    return added;
  }

  /// Before the number is closed. False in a forked child, which has closed it already: by now it may stand
  /// for another file.
  bool unlist() noexcept {
    if (number_.load(std::memory_order_relaxed) == kLeft) return false;
    number_.store(kFree, std::memory_order_relaxed);
    return true;
  }

  /// In a forked child. What was listed is never used again, since the objects of the parent still refer to
  /// it.
  static void close_in_child() noexcept {
    for (auto* known = locked_descriptors.load(std::memory_order_acquire); known != nullptr;
         known = known->next_) {
      if (known->number_.load(std::memory_order_relaxed) < 0) continue;
      ::close(known->number_.exchange(kLeft, std::memory_order_relaxed));
    }
  }

 private:
  static constexpr int kFree = -1;
  static constexpr int kLeft = -2;

  explicit LockedDescriptor(int number) noexcept : number_{number} {}

  std::atomic<int> number_;
  LockedDescriptor* next_ = nullptr;
};

#endif

}}}  // namespace kvstore::v1::detail
