// SPDX-License-Identifier: MIT
#pragma once

// Ends a conversation at its deadline. A library that reads an answer knows how long to wait for the next
// byte, not how long for the last: a server that sends one byte a second would hold a thread for hours.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "kvstore/detail/remote/deadline.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A thread that shuts down the sockets whose time is up. It starts with the first one to watch.
///
/// *Thread safety*: safe from any thread.
class SocketAlarm {
 public:
  /// The socket of one connection, watched while it is armed. Used by the connection's thread.
  class Watched {
   public:
    Watched() = default;
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;
    ~Watched() {
      if (socket_ >= 0) ::close(socket_);
    }

   private:
    friend class SocketAlarm;
    int socket_ = -1;  // a descriptor of our own, so that we never meet another file of the same number
    bool rang_ = false;
    Deadline::Clock::time_point until_{};
  };

  SocketAlarm() = default;
  SocketAlarm(const SocketAlarm&) = delete;
  SocketAlarm& operator=(const SocketAlarm&) = delete;

  /// While it exists, the socket is shut down at the deadline, also if it is opened only later.
  class Armed {
   public:
    Armed(SocketAlarm& alarm, Watched& watched, const Deadline& until) : alarm_{alarm}, watched_{watched} {
      alarm_.arm(watched_, until);
    }
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;
    ~Armed() { alarm_.disarm(watched_); }

   private:
    SocketAlarm& alarm_;
    Watched& watched_;
  };

  /// The deadline is lifted.
  void disarm(Watched& watched) {
    const std::lock_guard lock{mutex_};
    armed_.erase({watched.until_, &watched});
  }
  /// Shuts the socket down now.
  void ring(Watched& watched) {
    const std::lock_guard lock{mutex_};
    watched.rang_ = true;
    shut_down(watched);
  }
  /// A new socket takes the place of the one before; call it before the socket connects. One that cannot be
  /// watched, for want of a descriptor, is shut down at once.
  void opened(Watched& watched, int socket) {
    const int own = ::fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const std::lock_guard lock{mutex_};
    const int before = std::exchange(watched.socket_, own);
    if (before >= 0) ::close(before);
    if (own < 0) ::shutdown(socket, SHUT_RDWR);
    if (watched.rang_) shut_down(watched);
  }

 private:
  void arm(Watched& watched, const Deadline& until) {
    const std::lock_guard lock{mutex_};
    start();
    watched.until_ = until.time();
    watched.rang_ = false;
    const auto place = armed_.insert({watched.until_, &watched}).first;
    if (place == armed_.begin()) changed_.notify_one();
  }

  /// Without a thread, deadlines hold but against servers that trickle: better than no conversation at all.
  void start() {
    if (thread_.joinable()) return;
    try {
      thread_ = std::jthread{[this](const std::stop_token& stop) { watch(stop); }};
    } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): tried again next time
    }
  }

  static void shut_down(const Watched& watched) {
    if (watched.socket_ >= 0) ::shutdown(watched.socket_, SHUT_RDWR);
  }

  void watch(const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    while (!stop.stop_requested()) {
      while (!armed_.empty() && armed_.begin()->first <= Deadline::Clock::now()) {
        Watched& late = *armed_.begin()->second;
        armed_.erase(armed_.begin());
        late.rang_ = true;
        shut_down(late);
      }
      const auto is_earlier = [this, before = next()] { return next() < before; };
      if (armed_.empty()) {
        changed_.wait(lock, stop, is_earlier);
      } else {
        changed_.wait_until(lock, stop, next(), is_earlier);
      }
    }
  }
  [[nodiscard]] Deadline::Clock::time_point next() const {
    return armed_.empty() ? Deadline::Clock::time_point::max() : armed_.begin()->first;
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::set<std::pair<Deadline::Clock::time_point, Watched*>> armed_;
  std::jthread thread_;  // last: it uses all of the above
};

}}}  // namespace kvstore::v1::detail
