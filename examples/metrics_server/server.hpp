// SPDX-License-Identifier: MIT
#pragma once

// Accepts connections. One thread serves all sockets; a few workers wait for the store and its saves.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "registry.hpp"
#include "routes.hpp"
#include "session.hpp"
#include "workers.hpp"

namespace metrics_server {

inline constexpr std::chrono::milliseconds kPause{50};  ///< after an error, or while there is no room
/// A connection whose request waits cannot make room for another. Some places are kept for
/// others, which may ask for the health.
static_assert(Staff::kMaxRequests + 64 <= kMaxConnections);

class Server {
  using Error = boost::system::error_code;
  using Endpoint = boost::asio::ip::tcp::endpoint;

 public:
  /// Port 0 takes any that is free. @throws boost::system::system_error if the port is taken
  Server(const Routes& routes, const std::string& address, unsigned short port)
      : around_{sessions_, routes, staff_}, acceptor_{sockets_}, pause_{sockets_} {
    const Endpoint endpoint{boost::asio::ip::make_address(address), port};
    acceptor_.open(endpoint.protocol());
    acceptor_.set_option(boost::asio::ip::tcp::acceptor::reuse_address{true});
    acceptor_.bind(endpoint);
    acceptor_.listen();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { end(); }

  [[nodiscard]] int port() const { return acceptor_.local_endpoint().port(); }

  /// Serves in threads of its own. `failed` is called if no more connections can be accepted.
  void begin(std::function<void()> failed) {
    failed_ = std::move(failed);
    accept();
    thread_ = std::thread{[this] { sockets_.run(); }};
  }

  /// Lets requests finish that have come in full, and ends all others.
  void end() {
    if (!thread_.joinable()) return;
    boost::asio::post(sockets_, [this] {
      ending_ = true;
      Error ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      sessions_.stop();
    });
    thread_.join();
    staff_.join();
  }

 private:
  void accept() {
    if (!sessions_.make_room()) return accept_later();
    acceptor_.async_accept([this](Error error, boost::asio::ip::tcp::socket socket) {
      if (ending_) return;
      if (error) return on_error(error);
      std::make_shared<Session>(std::move(socket), around_)->start();
      accept();
    });
  }

  /// Mostly the connection has gone, or there are too many open files: a stranger's is then given up.
  void on_error(Error error) {
    if (error == boost::asio::error::bad_descriptor || error == boost::asio::error::invalid_argument)
      return failed_();
    if (error == boost::asio::error::no_descriptors) sessions_.drop_oldest_stranger();
    accept_later();
  }

  void accept_later() {
    pause_.expires_after(kPause);
    pause_.async_wait([this](Error) {
      if (!ending_) accept();
    });
  }

  Staff staff_;
  Registry<Session> sessions_;
  boost::asio::io_context sockets_{1};
  Session::Surroundings around_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  bool ending_ = false;
  std::function<void()> failed_;
  std::thread thread_;
};

}  // namespace metrics_server
