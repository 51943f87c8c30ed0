// SPDX-License-Identifier: MIT
#pragma once

// Parts of a test that need another process: another user, a private file system, or a sudden end.

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>

namespace support {

/// A forked process that runs `work`, sends the result, and ends without running destructors.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<std::string()>& work) {
    if (::pipe(pipe_.data()) != 0) throw std::runtime_error{"pipe failed"};
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error{"fork failed"};
    if (id_ == 0) run(work);
    ::close(pipe_[1]);
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    kill();
    ::close(pipe_[0]);
  }

  [[nodiscard]] ::pid_t id() const noexcept { return id_; }

  /// Ends the child without warning, as a crash would, and waits until it is gone.
  void kill() {
    if (reaped_) return;
    ::kill(id_, SIGKILL);
    reap();
  }

  /// Waits for the end of the child. Returns the result of `work`, or the message of the exception that it
  /// threw.
  std::string result() {
    std::string text;
    std::array<char, 256> part{};
    for (::ssize_t got = 0; (got = ::read(pipe_[0], part.data(), part.size())) > 0;) {
      text.append(part.data(), static_cast<std::size_t>(got));
    }
    reap();
    return text;
  }

 private:
  [[noreturn]] void run(const std::function<std::string()>& work) {
    ::close(pipe_[0]);
    std::string text;
    try {
      text = work();
    } catch (const std::exception& error) { text = error.what(); }
    const auto written = ::write(pipe_[1], text.data(), text.size());
    ::_exit(written == static_cast<::ssize_t>(text.size()) ? 0 : 1);
  }

  void reap() {
    if (!reaped_) ::waitpid(id_, nullptr, 0);
    reaped_ = true;
  }

  std::array<int, 2> pipe_{};
  ::pid_t id_ = -1;
  bool reaped_ = false;
};

inline std::string in_child(const std::function<std::string()>& work) { return ChildProcess{work}.result(); }

inline bool is_root() { return ::geteuid() == 0; }

inline void require_success(int result, const std::string& call) {
  if (result != 0) throw std::runtime_error{call + ": " + std::strerror(errno)};
}

inline constexpr ::uid_t kNobody = 65534;

/// Gives up the rights of root for good. Call in a child only.
inline void become_nobody() {
  require_success(::setgroups(0, nullptr), "setgroups");
  require_success(::setgid(kNobody), "setgid");
  require_success(::setuid(kNobody), "setuid");
}

/// Hides the mounts made from here on from all other processes. Call in a child only.
inline void leave_mount_namespace() {
  require_success(::unshare(CLONE_NEWNS), "unshare");
  require_success(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make / private");
}

/// The reason why no child can mount anything here; empty if children can.
inline std::string why_no_mounts() {
  return in_child([]() -> std::string {
    leave_mount_namespace();
    return {};
  });
}

}  // namespace support
