// SPDX-License-Identifier: MIT
#pragma once

// A process that works until it is killed, and reports its progress.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <stdexcept>

namespace support {

/// Forks a process that runs `work(acknowledge)` and then waits for its end, which is always a SIGKILL.
/// Acknowledgements sent before the kill reach the parent, since the bytes in a pipe outlive their writer.
class KillableChild {
 public:
  /// Reports that step `number` of a lane (a thread, say) has returned. The steps of a lane count up from 1.
  using Acknowledge = std::function<void(std::uint32_t lane, std::uint32_t number)>;
  using Work = std::function<void(const Acknowledge&)>;

  explicit KillableChild(const Work& work) {
    if (::pipe(pipe_.data()) != 0) throw std::runtime_error{"pipe failed"};
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error{"fork failed"};
    if (id_ == 0) run(work);
    ::close(pipe_[1]);
  }
  KillableChild(const KillableChild&) = delete;
  KillableChild& operator=(const KillableChild&) = delete;
  ~KillableChild() {
    if (id_ > 0) end();
    ::close(pipe_[0]);
  }

  /// Waits until all lanes together have sent so many acknowledgements, or until the work ends.
  void wait_for(std::uint32_t acknowledgements) {
    while (received_ < acknowledgements && receive()) {}
  }

  /// Kills the child, wherever it is.
  /// @throws std::runtime_error if the child had ended by itself, because `work` threw
  void kill() {
    const int status = end();
    while (receive()) {}
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed) throw std::runtime_error{"the child ended before it was killed; its words are on stderr"};
  }

  /// The last step of a lane that was acknowledged; 0 if no step was.
  [[nodiscard]] std::uint32_t acknowledged(std::uint32_t lane) const {
    const auto found = last_.find(lane);
    return found == last_.end() ? 0 : found->second;
  }

 private:
  struct Message {
    std::uint32_t lane;
    std::uint32_t number;
  };
  static constexpr std::uint32_t kFinished = UINT32_MAX;

  [[noreturn]] void run(const Work& work) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // leaves nothing behind if the test itself is killed
    ::close(pipe_[0]);
    try {
      work([this](std::uint32_t lane, std::uint32_t number) { send({lane, number}); });
      send({kFinished, 0});
    } catch (const std::exception& error) {
      std::fprintf(stderr, "child: %s\n", error.what());
      ::_exit(1);
    }
    while (true) ::pause();
  }

  void send(const Message& message) const {
    if (::write(pipe_[1], &message, sizeof message) != sizeof message) ::_exit(2);
  }

  /// Receives one message. @returns false if none will come any more
  bool receive() {
    Message message{};
    ::ssize_t got = 0;
    do got = ::read(pipe_[0], &message, sizeof message);  // whole: short writes to a pipe are atomic
    while (got < 0 && errno == EINTR);
    if (got != sizeof message || message.lane == kFinished) return false;
    last_[message.lane] = message.number;
    ++received_;
    return true;
  }

  int end() {
    int status = 0;
    ::kill(id_, SIGKILL);
    ::waitpid(id_, &status, 0);
    id_ = -1;
    return status;
  }

  std::array<int, 2> pipe_{};
  ::pid_t id_ = -1;
  std::uint32_t received_ = 0;
  std::map<std::uint32_t, std::uint32_t> last_;
};

}  // namespace support
