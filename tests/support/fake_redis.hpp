// SPDX-License-Identifier: MIT
#pragma once

// A server that speaks the protocol of Redis and gives the answers that a test wants, including those that a
// real server gives too seldom to wait for.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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

class FakeRedis {
 public:
  using Command = std::vector<std::string>;
  /// Makes the bytes of an answer; none closes the connection. Called from one thread per connection;
  /// `connection` is the number of the connection, from 0.
  using Answer = std::function<std::optional<std::string>(const Command& command, std::size_t connection)>;

  explicit FakeRedis(Answer answer)
      : answer_{std::move(answer)}, listener_{::socket(AF_INET, SOCK_STREAM, 0)} {
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<::sockaddr*>(&address);
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
      throw std::runtime_error{"no port to listen on"};
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread{[this](const std::stop_token& stop) { accept_all(stop); }};
  }

  [[nodiscard]] int port() const noexcept { return port_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  /// Closes all open connections, as a restarting server does.
  void hang_up() {
    ++epoch_;
    std::this_thread::sleep_for(std::chrono::milliseconds{5 * kGlance});
  }

  /// The number of commands received that begin with these words.
  [[nodiscard]] std::size_t received(const Command& start) const {
    const std::lock_guard lock{mutex_};
    std::size_t count = 0;
    for (const auto& [connection, command] : log_) {
      count += command.size() >= start.size() && std::equal(start.begin(), start.end(), command.begin());
    }
    return count;
  }
  /// The commands received, each with the number of its connection.
  [[nodiscard]] std::vector<std::pair<std::size_t, Command>> log() const {
    const std::lock_guard lock{mutex_};
    return log_;
  }

  /// A reply to CLUSTER SLOTS that assigns all slots to the server of this host and port.
  [[nodiscard]] static std::string all_slots(const std::string& host, int port) {
    return "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" + bulk(host) + ":" + std::to_string(port) + "\r\n";
  }
  [[nodiscard]] static std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
  }

 private:
  static constexpr int kGlance = 20;  // ms between two checks of the stop token

  static bool readable(int socket) {
    ::pollfd waited{socket, POLLIN, 0};
    return ::poll(&waited, 1, kGlance) > 0;
  }

  void accept_all(const std::stop_token& stop) {
    std::vector<std::jthread> connections;
    while (!stop.stop_requested()) {
      if (!readable(listener_)) continue;
      const int socket = ::accept(listener_, nullptr, nullptr);
      const std::size_t number = connections.size();
      connections.emplace_back(
          [this, socket, number](const std::stop_token& end) { serve(socket, number, end); });
    }
    ::close(listener_);
  }

  void serve(int socket, std::size_t connection, const std::stop_token& stop) {
    std::string input;
    std::array<char, 65536> part{};
    const int epoch = epoch_;
    for (bool open = true; open && epoch == epoch_ && !stop.stop_requested();) {
      if (!readable(socket)) continue;
      const ::ssize_t count = ::recv(socket, part.data(), part.size(), 0);
      if (count <= 0) break;
      input.append(part.data(), static_cast<std::size_t>(count));
      while (open) {
        const std::optional<Command> command = next_command(input);
        if (!command) break;
        open = respond(socket, connection, *command);
      }
    }
    ::close(socket);
  }

  bool respond(int socket, std::size_t connection, const Command& command) {
    {
      const std::lock_guard lock{mutex_};
      log_.emplace_back(connection, command);
    }
    const std::optional<std::string> answer = answer_(command, connection);
    if (!answer) return false;
    return ::send(socket, answer->data(), answer->size(), MSG_NOSIGNAL) ==
           static_cast<::ssize_t>(answer->size());
  }

  /// Removes a command, as "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", from the front of `input`, if it is complete
  /// there.
  static std::optional<Command> next_command(std::string& input) {
    std::size_t at = 0;
    const auto number = [&]() -> std::optional<std::size_t> {
      const std::size_t end = input.find("\r\n", at);
      if (end == std::string::npos) return std::nullopt;
      const std::size_t value = std::stoul(input.substr(at + 1, end - at - 1));
      at = end + 2;
      return value;
    };
    const auto words = number();
    if (!words) return std::nullopt;
    Command command;
    for (std::size_t i = 0; i < *words; ++i) {
      const auto size = number();
      if (!size || input.size() < at + *size + 2) return std::nullopt;
      command.push_back(input.substr(at, *size));
      at += *size + 2;
    }
    input.erase(0, at);
    return command;
  }

  Answer answer_;
  int listener_;
  int port_ = 0;
  std::atomic<int> epoch_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::pair<std::size_t, Command>> log_;
  std::jthread acceptor_;  // last, so that it ends before the members that it uses
};

}  // namespace support
