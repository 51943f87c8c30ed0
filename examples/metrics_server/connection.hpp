// SPDX-License-Identifier: MIT
#pragma once

// One connection, which brings one request. httplib limits neither how long a request may take altogether,
// nor the length of a line, nor a body that comes in chunks: here they are.

#include <httplib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>

namespace metrics_server {

inline constexpr std::size_t kMaxHead = 32 * 1024;  ///< bytes of the request line and all headers
inline constexpr std::chrono::seconds kRequestTime{15};
inline constexpr std::chrono::seconds kAnswerTime{15};
inline constexpr std::chrono::seconds kIdleTime{5};  ///< until the first byte; browsers connect in advance
inline constexpr std::chrono::seconds kFarewellTime{1};

/// httplib's view of a socket. Its members override those of `httplib::Stream`, of which newer versions have
/// more.
class Connection : public httplib::Stream {
  using Clock = std::chrono::steady_clock;

 public:
  /// Owns `socket`. Reading ends when `stop` is readable.
  Connection(socket_t socket, int stop) : socket_{socket}, stop_{stop} {
    const int yes = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(socket_); }

  /// Whether a request begins. From then on it has `kRequestTime`.
  [[nodiscard]] bool begins() {
    deadline_ = Clock::now() + kIdleTime;
    const bool readable = wait(POLLIN);
    deadline_ = Clock::now() + kRequestTime;
    return readable;
  }

  /// The head is complete: as many more bytes may come.
  void expect_body(std::size_t bytes) noexcept { allowed_ = bytes; }

  /// Says that nothing more comes, and lets the other side read it: closing at once while it still sends
  /// would make its system throw the answer away.
  void end() {
    ::shutdown(socket_, SHUT_WR);
    deadline_ = Clock::now() + kFarewellTime;
    for (std::size_t seen = 0; seen < 16 * 1024 * 1024 && wait(POLLIN);) {
      const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return;
      seen += static_cast<std::size_t>(got);
    }
  }

  bool is_readable() const { return at_ != end_ || wait(POLLIN); }
  bool wait_readable() const { return is_readable(); }
  bool is_writable() const { return wait(POLLOUT); }
  bool wait_writable() const { return is_writable(); }

  ssize_t read(char* to, std::size_t size) {
    answering_ = false;  // what was written before was an invitation to send the body
    if (at_ == end_) {
      if (!wait(POLLIN)) return -1;
      const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return got;
      at_ = 0;
      end_ = static_cast<std::size_t>(got);
    }
    const std::size_t count = std::min({size, end_ - at_, allowed_});
    if (count == 0) return -1;
    std::memcpy(to, buffer_.data() + at_, count);
    at_ += count;
    allowed_ -= count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* from, std::size_t size) {
    if (!answering_) deadline_ = Clock::now() + kAnswerTime;
    answering_ = true;
    if (!wait(POLLOUT)) return -1;
    return ::send(socket_, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  void get_remote_ip_and_port(std::string& /*ip*/, int& port) const { port = 0; }
  void get_local_ip_and_port(std::string& /*ip*/, int& port) const { port = 0; }
  socket_t socket() const { return socket_; }
  time_t duration() const { return 0; }

 private:
  /// Until the deadline; when the server stops, nothing more is read, but answers are still written.
  [[nodiscard]] bool wait(short events) const {
    std::array<pollfd, 2> watched{{{socket_, events, 0}, {stop_, POLLIN, 0}}};
    const nfds_t count = events == POLLIN ? 2 : 1;
    while (true) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
      if (left.count() <= 0) return false;
      const int ready = ::poll(watched.data(), count, static_cast<int>(left.count()));
      if (ready > 0) return watched[1].revents == 0;
      if (ready < 0 && errno != EINTR) return false;
    }
  }

  socket_t socket_;
  int stop_;
  std::array<char, 16 * 1024> buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::size_t allowed_ = kMaxHead;
  Clock::time_point deadline_{};
  bool answering_ = false;
};

}  // namespace metrics_server
