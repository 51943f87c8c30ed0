// SPDX-License-Identifier: MIT
#pragma once

// One HTTP connection to one endpoint, used by one thread at a time.

#include <httplib.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
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
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/host_lookup.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/detail/remote/socket_alarm.hpp"
#include "kvstore/detail/remote/socket_health.hpp"
#include "kvstore/error.hpp"
#include "kvstore/etcd_options.hpp"
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
#include "kvstore/detail/remote/openssl_reason.hpp"
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// The answer. Without one, `status` is 0, and `sent` says whether the server may have received the request.
struct EtcdReply {
  int status = 0;
  std::string body{};
  bool sent = false;
  std::string reason{};     ///< the reason if there is no answer
  bool distrusted = false;  ///< there is none, as TLS does not trust the server
};

/// The time limits of one attempt.
struct EtcdLimits {
  std::chrono::milliseconds connect;
  Deadline until;  ///< of the last byte of the answer
};

class EtcdConnection {
 public:
  /// Does not connect yet. `opened` counts it once it has had an answer; it and `alarm` must outlive the
  /// connection. @throws UsageError if the endpoint or a TLS file cannot be used
  EtcdConnection(const EtcdOptions& options, const std::string& endpoint, SocketAlarm& alarm,
                 RemoteObserver::Counter& opened)
      : host_{host_of(endpoint)},
        tls_{options.tls},
        alarm_{alarm},
        opened_{opened},
        client_{std::in_place, (options.tls ? "https://" : "http://") + endpoint, options.certificate_file,
                options.key_file} {
    if (!client_->is_valid()) throw_unusable(options, endpoint);
    client_->set_keep_alive(true);
    // A request's header and body are two writes: without this, the second waits for the first to be
    // acknowledged.
    client_->set_tcp_nodelay(true);
    client_->set_socket_options([this](socket_t socket) {
      standard_files_.reset();  // the socket has a number of its own
      alarm_.opened(watched_, static_cast<int>(socket));
      watch_health(static_cast<int>(socket));
    });
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
    if (options.tls) verify_server(options);
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
                               const EtcdLimits& limits) {
    return exchange(request(path, token, body), limits, limits.until.left());
  }

  /// The same with an answer that arrives in pieces: `take(status, bytes)` returns whether to continue. The
  /// deadline is lifted when `take` calls `go_on`.
  [[nodiscard]] EtcdReply stream(const std::string& path, const std::string& token, const std::string& body,
                                 const EtcdLimits& limits,
                                 const std::function<bool(int, std::string_view)>& take) {
    httplib::Request wanted = request(path, token, body);
    int status = 0;
    wanted.response_handler = [&](const httplib::Response& response) {
      answered();
      status = response.status;
      return true;
    };
    wanted.content_receiver = [&](const char* data, auto length, auto, auto) {
      return take(status, {data, length});
    };
    return exchange(std::move(wanted), limits, std::chrono::hours{1});
  }
  void go_on() { alarm_.disarm(watched_); }

  /// Aborts the request of another thread.
  void stop() { alarm_.ring(watched_); }

 private:
  [[noreturn]] static void throw_unusable(const EtcdOptions& options, const std::string& endpoint) {
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
    if (options.tls && !options.certificate_file.empty()) {
      throw UsageError{"EtcdOptions::certificate_file and key_file: " + options.certificate_file + " and " +
                       options.key_file +
                       " are not PEM files of a certificate and its key: " + openssl_reason()};
    }
#else
    if (options.tls) throw UsageError{"EtcdOptions::tls needs a cpp-httplib that was built with OpenSSL"};
#endif
    throw UsageError{endpoint + ": cannot be used: see that it is host:port"};
  }

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

  [[nodiscard]] static std::string host_of(const std::string& endpoint) {
    const std::string host = endpoint.substr(0, endpoint.rfind(':'));
    return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
  }

#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
  /// OpenSSL compares the names: httplib would accept a certificate for other hosts if its common name is
  /// this one, which RFC 6125 forbids (6.4.4).
  void verify_server(const EtcdOptions& options) {
    ::SSL_CTX* const context = client_->ssl_context();
    ::X509_VERIFY_PARAM* const wanted = ::SSL_CTX_get0_param(context);
    const bool is_set = HostLookup::is_numeric(host_)
                            ? ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host_.c_str()) == 1
                            : ::X509_VERIFY_PARAM_set1_host(wanted, host_.data(), host_.size()) == 1;
    if (!is_set) throw UsageError{host_ + ": no certificate can be for a host of this name"};
    if (options.ca_file.empty()) return;
    if (::SSL_CTX_load_verify_locations(context, options.ca_file.c_str(), nullptr) != 1) {
      throw UsageError{options.ca_file +
                       ": no certificate authorities can be read there (EtcdOptions::ca_file, a PEM file)"};
    }
    client_->set_ca_cert_path(options.ca_file);
  }
#endif

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

  /// `silence`: the longest wait without a byte.
  [[nodiscard]] EtcdReply exchange(httplib::Request request, const EtcdLimits& limits,
                                   std::chrono::milliseconds silence) {
    client_->set_read_timeout(silence);
    client_->set_write_timeout(silence);
    const SocketAlarm::Armed armed{alarm_, watched_, limits.until};
    const Deadline connected = limits.until.within(limits.connect);
    if (is_connected() || HostLookup::is_numeric(host_))
      return exchange(request, connected.left(), limits.until);
    return exchange_by_name(request, connected, limits.until);
  }
  [[nodiscard]] bool is_connected() const { return client_->is_socket_open() != 0; }

  /// Each address of the host gets an equal share of the time to connect.
  [[nodiscard]] EtcdReply exchange_by_name(httplib::Request& request, const Deadline& connected,
                                           const Deadline& until) {
    const HostAddresses host = HostLookup::find(host_, connected);
    EtcdReply reply{.reason = host.reason};
    for (std::size_t i = 0; i < host.addresses.size(); ++i) {
      client_->set_hostname_addr_map({{host_, host.addresses[i]}});
      reply = exchange(request, connected.left() / static_cast<long long>(host.addresses.size() - i), until);
      if (reply.sent) break;
    }
    return reply;
  }

  [[nodiscard]] EtcdReply exchange(httplib::Request& request, std::chrono::milliseconds connect,
                                   const Deadline& until) {
    client_->set_connection_timeout(std::max(connect, std::chrono::milliseconds{1}));
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    const SigpipeGuard guard;
    const OnlyWhileConnecting taken{standard_files_};
    // The gateway ends its error answers with a trailer, at which some versions of httplib fail although they
    // have read the whole body.
    if (client_->send(request, response, error) ||
        (error == httplib::Error::Read && response.status > 0 && nlohmann::json::accept(response.body))) {
      answered();
      return {response.status, std::move(response.body), true, {}};
    }
    return {0,
            {},
            may_be_sent(error),
            message_of(error, until.has_passed()),
            error == httplib::Error::SSLServerVerification || error == httplib::Error::SSLLoadingCerts};
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

  /// Counts the connection, at its first answer.
  void answered() {
    if (!std::exchange(has_answered_, true)) RemoteObserver::count(opened_);
  }

  [[nodiscard]] std::string message_of(httplib::Error error, bool time_is_up) const {
    switch (error) {
      case httplib::Error::Read:
        if (time_is_up) return "no answer in time";
        return std::string{"the connection ended before an answer came"} + hint_of_tls();
      case httplib::Error::Write:
        if (time_is_up) return "the request could not be sent in time";
        return std::string{"the connection ended while the request was being sent"} + hint_of_tls();
      case httplib::Error::Connection:
        return "no connection: nobody accepts one there";
      case httplib::Error::ConnectionTimeout:
        return "no connection in time";
      case httplib::Error::SSLConnection:
        return "no TLS is agreed on; see that this port is one for TLS";
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
      case httplib::Error::SSLServerVerification:
        return certificate_refusal(client_->get_openssl_verify_result(), "EtcdOptions::ca_file");
#endif
      case httplib::Error::SSLLoadingCerts:
        return "the certificate authorities' file cannot be used (EtcdOptions::ca_file)";
      default:
        return "no connection (" + httplib::to_string(error) + ")";
    }
  }
  [[nodiscard]] const char* hint_of_tls() const noexcept {
    return has_answered_ || tls_ ? "" : " (as a server does that wants TLS: EtcdOptions::tls)";
  }

  const std::string host_;
  const bool tls_;
  bool has_answered_ = false;  // anything, ever
  SocketAlarm& alarm_;
  RemoteObserver::Counter& opened_;
  SocketAlarm::Watched watched_;
  std::optional<StandardFiles> standard_files_;
  LeftToParent<httplib::Client> client_;  // closing shuts the connection down for all who share it
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail
