// SPDX-License-Identifier: MIT
#pragma once

// httplib's server, with connections of our own.

#include <httplib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "connection.hpp"
#include "problem.hpp"

namespace metrics_server {

inline constexpr std::size_t kThreads = 16;

/// Serves one request a connection: none can be mistaken for what was left of another one's body, and idle
/// connections hold no thread.
class Server : public httplib::Server {
 public:
  explicit Server(std::size_t max_body)
      : max_body_{max_body}, stop_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
    if (stop_ < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
    new_task_queue = [] { return new httplib::ThreadPool{kThreads}; };
    set_keep_alive_max_count(1);
    // httplib's own choice, SO_REUSEPORT, would let a second server take the same port.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() override {
    end();
    ::close(stop_);
  }

  /// Accepts connections in a thread of its own. `failed` is called if that ends before `end` is called.
  template <class Failed>
  void begin(Failed failed) {
    listener_ = std::thread{[this, failed = std::move(failed)] {
      listen_after_bind();
      over_ = true;
      if (!ending_) failed();
    }};
  }

  /// Lets requests finish that have come in full, and ends all others.
  void end() {
    if (!listener_.joinable()) return;
    ending_ = true;
    const std::uint64_t one = 1;
    (void)!::write(stop_, &one, sizeof one);
    while (!is_running() && !over_) std::this_thread::yield();  // before that, `stop` does nothing
    stop();
    listener_.join();
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    Connection connection{socket, stop_};
    if (!connection.begins()) return false;
    try {
      process(connection);
    } catch (...) {  // what a thread of the pool throws would end the program
      return false;
    }
    connection.end();
    return true;
  }

  /// Newer versions of httplib want the addresses here, which nobody asks for.
  template <class Stream>
  void process(Stream& stream) {
    bool closed = false;
    const auto prepare = [&](httplib::Request& request) {
      stream.expect_body(2 * max_body_ + kMaxHead);  // with what chunks take
      request.path = "/";                            // see target.hpp
      request.ranges.clear();
      request.headers.erase("Accept-Encoding");  // compressing is a waste on one machine
    };
    if constexpr (requires { this->process_request(stream, true, closed, prepare); })
      this->process_request(stream, true, closed, prepare);
    else
      this->process_request(stream, "", 0, "", 0, true, closed, prepare);
  }

  std::size_t max_body_;
  int stop_;
  std::atomic<bool> over_{false};
  std::atomic<bool> ending_{false};
  std::thread listener_;
};

}  // namespace metrics_server
