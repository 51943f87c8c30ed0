// SPDX-License-Identifier: MIT
#pragma once

// An HTTP server that gives the answers that a test wants, and misbehaves on demand as no real server does.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace support {

struct ScriptedRequest {
  std::string path;
  std::string head;  ///< request line and headers
  std::string body;
};

/// The text of an HTTP answer.
[[nodiscard]] inline std::string http(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

/// A socket that listens on a free port of this machine.
class Listener {
 public:
  Listener() : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    ::socklen_t length = sizeof address;
    auto* plain = reinterpret_cast<::sockaddr*>(&address);
    if (::bind(socket_, plain, length) != 0 || ::listen(socket_, 64) != 0 ||
        ::getsockname(socket_, plain, &length) != 0) {
      throw std::runtime_error{"cannot listen"};
    }
    port_ = ::ntohs(address.sin_port);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { ::close(socket_); }

  [[nodiscard]] std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }
  /// The next connection; below 0 once `stop` was called.
  [[nodiscard]] int accept() const { return ::accept(socket_, nullptr, nullptr); }
  void stop() const { ::shutdown(socket_, SHUT_RDWR); }

 private:
  int socket_;
  int port_ = 0;
};

/// Reads a little from each connection, and closes it.
class SlammingServer {
 public:
  SlammingServer() : thread_{[this] { slam(); }} {}
  SlammingServer(const SlammingServer&) = delete;
  SlammingServer& operator=(const SlammingServer&) = delete;
  ~SlammingServer() {
    listener_.stop();
    thread_.join();
  }
  [[nodiscard]] std::string endpoint() const { return listener_.endpoint(); }

 private:
  void slam() {
    for (int socket = 0; (socket = listener_.accept()) >= 0; ::close(socket)) {
      std::array<char, 1000> part{};
      (void)::recv(socket, part.data(), part.size(), 0);
      // The client sees first an end and then a reset. A write after both raises SIGPIPE.
      ::shutdown(socket, SHUT_WR);
    }
  }

  Listener listener_;
  std::thread thread_;
};

class ScriptedServer {
 public:
  /// Makes the bytes of an answer; none closes the connection.
  using Answer = std::function<std::optional<std::string>(const ScriptedRequest&)>;

  /// `pace`: the time between two bytes of an answer.
  explicit ScriptedServer(Answer answer, std::chrono::milliseconds pace = {})
      : answer_{std::move(answer)}, pace_{pace} {
    acceptor_ = std::thread{[this] { accept_all(); }};
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    listener_.stop();
    acceptor_.join();
    {
      const std::scoped_lock lock{mutex_};
      for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    for (const int socket : sockets_) ::close(socket);
  }

  [[nodiscard]] std::string endpoint() const { return listener_.endpoint(); }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_; }
  [[nodiscard]] std::size_t requests() const noexcept { return requests_; }

 private:
  void accept_all() {
    for (int socket = 0; (socket = listener_.accept()) >= 0;) {
      const std::scoped_lock lock{mutex_};
      ++connections_;
      sockets_.push_back(socket);
      threads_.emplace_back([this, socket] { serve(socket); });
    }
  }

  void serve(int socket) {
    std::string text;
    while (std::optional<ScriptedRequest> request = read_head(socket, text)) {
      const std::size_t length = content_length(request->head);
      while (text.size() < length) {
        if (!receive(socket, text)) return;
      }
      request->body = text.substr(0, length);
      text.erase(0, length);
      ++requests_;
      const std::optional<std::string> answer = answer_(*request);
      if (!answer) break;
      if (!send(socket, *answer)) break;
    }
    ::shutdown(socket, SHUT_RDWR);
  }

  [[nodiscard]] bool send(int socket, const std::string& answer) const {
    const std::size_t part = pace_.count() == 0 ? answer.size() : 1;
    for (std::size_t sent = 0; sent < answer.size(); sent += part) {
      std::this_thread::sleep_for(pace_);
      if (::send(socket, answer.data() + sent, part, MSG_NOSIGNAL) < 0) return false;
    }
    return true;
  }

  static std::optional<ScriptedRequest> read_head(int socket, std::string& text) {
    std::size_t end = 0;
    while ((end = text.find("\r\n\r\n")) == std::string::npos) {
      if (!receive(socket, text)) return std::nullopt;
    }
    ScriptedRequest request;
    request.head = text.substr(0, end + 4);
    text.erase(0, end + 4);
    const std::size_t path = request.head.find(' ') + 1;
    request.path = request.head.substr(path, request.head.find(' ', path) - path);
    return request;
  }

  static std::size_t content_length(const std::string& head) {
    const std::size_t place = head.find("Content-Length: ");
    return place == std::string::npos ? 0 : std::stoul(head.substr(place + 16));
  }

  static bool receive(int socket, std::string& text) {
    std::array<char, 4096> part{};
    const ::ssize_t got = ::recv(socket, part.data(), part.size(), 0);
    if (got > 0) text.append(part.data(), static_cast<std::size_t>(got));
    return got > 0;
  }

  Answer answer_;
  std::chrono::milliseconds pace_;
  Listener listener_;
  std::atomic<std::size_t> connections_ = 0;
  std::atomic<std::size_t> requests_ = 0;
  std::mutex mutex_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace support
