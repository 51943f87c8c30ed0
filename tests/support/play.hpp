// SPDX-License-Identifier: MIT
#pragma once

// Runs a scene in a process of its own, and reports its end and its output.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// The descriptor on which a scene talks to its test. High, so that no scene uses it for anything different.
inline constexpr int kWire = 200;

/// The number of operations in a batch, for scenes that fill a batch.
inline constexpr std::size_t kBatch = 4;

[[nodiscard]] inline std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit " + std::to_string(WEXITSTATUS(status));
}

/// The view of a process that a test has.
struct Played {
  std::string end;     ///< "exit 0", "signal 9", or "hung"
  std::string lines;   ///< sent by the scene
  std::string errors;  ///< all output on standard error
};

/// Runs a program to its end, and to the end of every process that it has started.
class Play {
 public:
  explicit Play(std::vector<std::string> command) : command_{std::move(command)} {
    if (::pipe2(wire_.data(), O_CLOEXEC) != 0 || ::pipe2(errors_.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error{"pipe failed"};
    }
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error{"fork failed"};
    if (id_ == 0) run();
    ::close(wire_[1]);
    ::close(errors_[1]);
  }
  Play(const Play&) = delete;
  Play& operator=(const Play&) = delete;
  ~Play() {
    ::close(wire_[0]);
    ::close(errors_[0]);
  }

  Played watch() {
    Played played;
    const bool ended = listen(played);
    if (!ended) ::kill(-id_, SIGKILL);
    int status = 0;
    ::waitpid(id_, &status, 0);
    played.end = ended ? how_it_ended(status) : "hung";
    return played;
  }

 private:
  /// Much longer than any scene takes, on any machine and under any sanitizer.
  static constexpr std::chrono::seconds kPatience{60};

  [[noreturn]] void run() {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const ::rlimit none{};
    ::setrlimit(RLIMIT_CORE, &none);
    // A scene whose files must not grow would complain that it cannot write its coverage.
    ::setenv("GCOV_ERROR_FILE", "/dev/null", 1);
    ::dup2(wire_[1], kWire);
    ::dup2(errors_[1], STDERR_FILENO);
    std::vector<char*> arguments;
    for (std::string& argument : command_) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    ::_exit(96);
  }

  /// Reads both pipes until no process can write to them any more. @returns false if that takes too long
  bool listen(Played& played) const {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    std::array<::pollfd, 2> ends{{{wire_[0], POLLIN, 0}, {errors_[0], POLLIN, 0}}};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      ::poll(ends.data(), ends.size(), static_cast<int>(left.count()));
      if (ends[0].revents != 0 && !receive(ends[0].fd, played.lines)) ends[0].fd = -1;
      if (ends[1].revents != 0 && !receive(ends[1].fd, played.errors)) ends[1].fd = -1;
    }
    return true;
  }

  static bool receive(int descriptor, std::string& text) {
    std::array<char, 4096> part{};
    const auto got = ::read(descriptor, part.data(), part.size());
    if (got > 0) text.append(part.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  std::vector<std::string> command_;
  std::array<int, 2> wire_{};
  std::array<int, 2> errors_{};
  ::pid_t id_ = -1;
};

}  // namespace support
