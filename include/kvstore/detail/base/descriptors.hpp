// SPDX-License-Identifier: MIT
#pragma once

// File descriptors that the rest of a process gives a meaning. 0, 1 and 2 are standard input, output and
// error, even if a program has closed them. A forked child inherits every descriptor of its parent.

#include <atomic>
#include <cerrno>
#include <new>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

#ifdef _WIN32

/// Windows never gives a file the number of another.
class StandardFiles {
 public:
  StandardFiles() noexcept {}
  ~StandardFiles() {}
  StandardFiles(const StandardFiles&) = delete;
  StandardFiles& operator=(const StandardFiles&) = delete;
};

#else

/// State shared by all `StandardFiles` of a process. There is one instance for all shared objects, even if
/// they hide their symbols, because all of them have the same descriptors.
struct StandardFillers {
  std::atomic_flag busy;
  unsigned users = 0;   // under `busy`
  unsigned filled = 0;  // under `busy`: a bit for each number
};
[[gnu::visibility("default")]] inline constinit StandardFillers standard_fillers;

/// While one exists, descriptors 0, 1 and 2 are taken, so that no file is opened under them. A program may
/// have closed them while another thread still prints to them. To raise a descriptor after opening a file
/// would therefore be too late.
///
/// The fillers refuse to be read and written, as closed descriptors do. They are closed when the last
/// `StandardFiles` is destroyed.
///
/// *Thread safety*: any number may exist at once. *Complexity*: three system calls if none of the three is
/// closed.
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

  /// In a forked child, before anything else runs: the threads that held some of these do not exist there.
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
      const int number = ::open("/", O_PATH | O_CLOEXEC);  // the lowest free number
      if (number > STDERR_FILENO) ::close(number);         // another thread was faster
      if (number < 0) break;
      if (number <= STDERR_FILENO) standard_fillers.filled |= 1U << static_cast<unsigned>(number);
    }
    errno = error;
  }

  /// Leaves a descriptor alone if the program has meanwhile put a file of its own in the filler's place.
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

/// The descriptor of a file that carries a lock, in a list that lives as long as the process.
///
/// `flock` locks the open file, which a forked child shares: if the parent were killed, the lock would last
/// until the child ends. A child therefore closes these descriptors before anything else.
class LockedDescriptor {
 public:
  /// Lists a descriptor; null if there is no memory for that. *Thread safety*: safe from any thread. Takes no
  /// lock, since a forked child could find it taken.
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

  /// Call before closing the descriptor. False in a forked child, which has closed it already: the number may
  /// belong to another file by now.
  bool unlist() noexcept {
    if (number_.load(std::memory_order_relaxed) == kLeft) return false;
    number_.store(kFree, std::memory_order_relaxed);
    return true;
  }

  /// In a forked child. The entries are never used again, since the parent's objects still refer to them.
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
