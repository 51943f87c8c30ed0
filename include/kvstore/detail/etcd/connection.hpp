// SPDX-License-Identifier: MIT
#pragma once

// One HTTP connection to one endpoint, used by one thread at a time.

#include <httplib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/base/sigpipe_guard.hpp"  // since httplib writes without MSG_NOSIGNAL, and so does OpenSSL
#include "kvstore/error.hpp"
#include "kvstore/etcd_options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The answer. Without one, `status` is 0, and `sent` says whether the server may have received the request.
struct EtcdReply {
  int status = 0;
  std::string body;
  bool sent = false;
  std::string reason;  ///< the reason if there is no answer
};

/// The time limits of one attempt.
struct EtcdTimeouts {
  std::chrono::milliseconds connect;
  std::chrono::milliseconds response;
};

class EtcdConnection {
 public:
  /// Does not connect yet. @throws UsageError if the endpoint or a TLS file cannot be used
  EtcdConnection(const EtcdOptions& options, const std::string& endpoint)
      : client_{std::in_place, (options.tls ? "https://" : "http://") + endpoint, options.certificate_file,
                options.key_file} {
    if (!client_->is_valid()) {
      throw UsageError{endpoint +
                       ": cannot be used: see that it is host:port, that the certificate and key " +
                       "can be read, and that cpp-httplib was built with OpenSSL if TLS is wanted"};
    }
    client_->set_keep_alive(true);
    // A request's header and body are two writes: without this, the second waits for the first to be
    // acknowledged.
    client_->set_tcp_nodelay(true);
    client_->set_socket_options([this](socket_t socket) {
      standard_files_.reset();  // the socket has a number of its own
      keep_alive(socket);
    });
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
    if (!options.ca_file.empty()) client_->set_ca_cert_path(options.ca_file);
#endif
  }
  EtcdConnection(const EtcdConnection&) = delete;
  EtcdConnection& operator=(const EtcdConnection&) = delete;
  ~EtcdConnection() {
    const SigpipeGuard guard;  // closing TLS writes
    if (!home_.is_foreign_by_id()) client_->stop();
  }

  /// Whether the server has closed the connection, or sent something unasked; or the connection belongs to
  /// the parent of this forked child, whose requests would be mixed with those of the parent.
  [[nodiscard]] bool is_stale() const {
    if (home_.is_foreign_by_id()) return true;
    ::pollfd poll{static_cast<int>(client_->socket()), POLLIN, 0};
    return poll.fd < 0 || ::poll(&poll, 1, 0) != 0;
  }

  [[nodiscard]] EtcdReply post(const std::string& path, const std::string& token, const std::string& body,
                               const EtcdTimeouts& timeouts) {
    return exchange(request(path, token, body), timeouts);
  }

  /// The same with an answer that arrives in pieces: `take(status, bytes)` returns whether to continue.
  [[nodiscard]] EtcdReply stream(const std::string& path, const std::string& token, const std::string& body,
                                 const EtcdTimeouts& timeouts,
                                 const std::function<bool(int, std::string_view)>& take) {
    httplib::Request wanted = request(path, token, body);
    int status = 0;
    wanted.response_handler = [&status](const httplib::Response& response) {
      status = response.status;
      return true;
    };
    wanted.content_receiver = [&](const char* data, auto length, auto, auto) {
      return take(status, {data, length});
    };
    return exchange(std::move(wanted), timeouts);
  }

  /// Aborts the request of another thread; if that thread is connecting, waits until it has.
  void stop() {
    const SigpipeGuard guard;
    client_->stop();
  }

 private:
  /// Keeps a socket from getting the number of a standard file that a program has closed.
  class OnlyWhileConnecting {
   public:
    explicit OnlyWhileConnecting(std::optional<StandardFiles>& taken) : taken_{taken} { taken_.emplace(); }
    OnlyWhileConnecting(const OnlyWhileConnecting&) = delete;
    OnlyWhileConnecting& operator=(const OnlyWhileConnecting&) = delete;
    ~OnlyWhileConnecting() { taken_.reset(); }

   private:
    std::optional<StandardFiles>& taken_;
  };

  // A server whose machine is gone never answers: after about ten seconds the socket reports an error.
  static void keep_alive(socket_t socket) {
    const auto set = [socket](int level, int option, int value) {
      ::setsockopt(static_cast<int>(socket), level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 4);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  }

  [[nodiscard]] static httplib::Request request(const std::string& path, const std::string& token,
                                                const std::string& body) {
    httplib::Request result;
    result.method = "POST";
    result.path = path;
    result.body = body;
    result.set_header("Content-Type", "application/json");
    // A node without a leader then refuses at once, before it tries anything.
    result.set_header("Grpc-Metadata-Hasleader", "true");
    if (!token.empty()) result.set_header("Authorization", token);
    return result;
  }

  [[nodiscard]] EtcdReply exchange(httplib::Request request, const EtcdTimeouts& timeouts) {
    client_->set_connection_timeout(timeouts.connect);
    client_->set_read_timeout(timeouts.response);
    client_->set_write_timeout(timeouts.response);
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    const SigpipeGuard guard;
    const OnlyWhileConnecting taken{standard_files_};
    if (client_->send(request, response, error)) return {response.status, std::move(response.body), true, {}};
    // The gateway ends its error answers with a trailer, at which some versions of httplib fail although they
    // have read the whole body.
    if (error == httplib::Error::Read && response.status > 0 && nlohmann::json::accept(response.body)) {
      return {response.status, std::move(response.body), true, {}};
    }
    return {0, {}, may_be_sent(error), message_of(error)};
  }

  [[nodiscard]] static bool may_be_sent(httplib::Error error) {
    switch (error) {
      case httplib::Error::Connection:
      case httplib::Error::ConnectionTimeout:
      case httplib::Error::BindIPAddress:
      case httplib::Error::SSLConnection:
      case httplib::Error::SSLLoadingCerts:
      case httplib::Error::SSLServerVerification:
        return false;
      default:
        return true;
    }
  }

  [[nodiscard]] static std::string message_of(httplib::Error error) {
    switch (error) {
      case httplib::Error::Read:
        return "the connection ended, or the time was up, before an answer came";
      case httplib::Error::Write:
        return "the connection ended, or the time was up, while the request was being sent";
      case httplib::Error::SSLServerVerification:
        return "the server's certificate is not a trusted authority's, or not this host's";
      case httplib::Error::SSLLoadingCerts:
        return "the certificate authorities' file cannot be used";
      default:
        return "no connection (" + httplib::to_string(error) + ")";
    }
  }

  std::optional<StandardFiles> standard_files_;
  LeftToParent<httplib::Client> client_;  // closing shuts the connection down for all who share it
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail
