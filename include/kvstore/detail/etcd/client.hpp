// SPDX-License-Identifier: MIT
#pragma once

// Requests to a cluster: the choice of endpoint, retries, deadlines, and tokens.

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/credentials.hpp"
#include "kvstore/detail/etcd/connection.hpp"
#include "kvstore/detail/etcd/endpoints.hpp"
#include "kvstore/detail/etcd/gateway.hpp"
#include "kvstore/detail/etcd/verdict.hpp"
#include "kvstore/detail/remote/current_credentials.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/observer.hpp"
#include "kvstore/error.hpp"
#include "kvstore/etcd_options.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a request may be sent again although it may have been carried out (a read may), and whether it
/// takes a node more time the more entries there are.
enum class EtcdRequest : std::uint8_t { read, write, long_write };

/// Talks to a cluster. Any thread may call any member; each connection is used by one thread at a time. Lock
/// order: no mutex is taken while another is held, except `token_mutex_` and those of endpoints under
/// `login_mutex_`.
class EtcdClient {
 public:
  /// Connects, and logs in if there is a user. @throws UsageError, UnavailableError, ServerError
  explicit EtcdClient(EtcdOptions options)
      : options_{std::move(options)},
        observer_{name(), options_.logger, options_.log_level},
        endpoints_{options_, observer_} {
    check_options();
    if (has_user()) log_in(0);
    (void)call("/v3/maintenance/status", "{}", EtcdRequest::read);
  }

  /// Sends a request until it is carried out or `timeout` has passed. @returns the answer
  /// @throws UnavailableError, ServerError; OutcomeUnknownError if it is a write
  nlohmann::json call(const std::string& path, const std::string& body, EtcdRequest kind) {
    const Deadline deadline = Deadline::of_call(options_.timeout);
    nlohmann::json answer = observer_.observe([&] { return call(path, body, kind, true, deadline); });
    if (options_.follow_members) follow_members(deadline);
    return answer;
  }

  /// One try, within `connect_timeout`, of what does no harm if it fails.
  void try_once(const std::string& path, const std::string& body) noexcept try {
    (void)attempt(*endpoints_.preferred(), path, body,
                  Deadline::of_call(options_.timeout).within(options_.connect_timeout), true);
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above
  }

  [[nodiscard]] RemoteMetrics metrics() {
    RemoteMetrics all = observer_.metrics();
    all.connections_idle = endpoints_.idle();
    return all;
  }

  [[nodiscard]] const EtcdOptions& options() const noexcept { return options_; }
  /// Whether it logs in.
  [[nodiscard]] bool has_user() const noexcept { return !options_.user.empty() || options_.credentials; }
  /// For messages.
  [[nodiscard]] std::string name() const {
    std::string names;
    for (const std::string& address : options_.endpoints) names += (names.empty() ? "" : ", ") + address;
    return "etcd at " + names;
  }

  // --- for callers that keep a connection to themselves ---

  [[nodiscard]] EtcdEndpoints& endpoints() noexcept { return endpoints_; }
  [[nodiscard]] RemoteObserver& observer() noexcept { return observer_; }
  /// Whether the node answers a read within `response_timeout`, be it by a refusal. No node can answer this
  /// one unless it follows the cluster.
  [[nodiscard]] bool is_alive(EtcdConnection& connection) const {
    const std::string key = options_.key_prefix.empty() ? std::string(1, '\0') : options_.key_prefix;
    const std::string body = json_object(range_fields({key, {}}) + ",\"count_only\":true");
    const EtcdReply reply =
        connection.post("/v3/kv/range", token().text, body,
                        {options_.connect_timeout, Deadline::in(options_.response_timeout)});
    if (reply.status == 0) return false;
    const nlohmann::json answer = nlohmann::json::parse(reply.body, nullptr, false);
    const EtcdOutcome outcome = judge_answer(reply.status, answer, reply.body).outcome;
    return outcome != EtcdOutcome::unknown && outcome != EtcdOutcome::not_carried_out;
  }
  struct Token {
    std::string text;  ///< empty: none
    std::uint64_t number = 0;
  };
  [[nodiscard]] Token token() const {
    const std::scoped_lock lock{token_mutex_};
    return token_;
  }
  /// Gets a new token unless another thread has done so since number `used`. @throws as `call` of a read
  void log_in(std::uint64_t used) { log_in(used, Deadline::of_call(options_.timeout)); }
  /// The same within so much time.
  void log_in(std::uint64_t used, std::chrono::milliseconds time) { log_in(used, Deadline::in(time)); }

 private:
  /// The result of one attempt.
  struct Attempt {
    EtcdVerdict verdict;
    nlohmann::json answer{};
    std::uint64_t token = 0;
    bool distrusted = false;  // TLS does not trust the server
  };

  void check_options() {
    if (options_.endpoints.empty())
      throw UsageError{"EtcdOptions::endpoints is empty; name a node, host:port"};
    if (options_.timeout.count() <= 0 || options_.connect_timeout.count() <= 0 ||
        options_.response_timeout.count() <= 0) {
      throw UsageError{"the timeouts of EtcdOptions must be above zero"};
    }
    if (options_.max_operations == 0 || options_.page_size == 0) {
      throw UsageError{"EtcdOptions::max_operations and page_size must be above zero"};
    }
    check_tls_options();
    for (const std::string& address : options_.endpoints) {
      if (!is_endpoint(address))
        throw UsageError{"EtcdOptions::endpoints: \"" + address + "\" is not host:port"};
      (void)endpoints_.prepared(address);  // so that a bad endpoint or file throws here
    }
  }

  /// Whoever names authorities or a certificate wants TLS: a password must not travel in clear.
  void check_tls_options() const {
    if (!options_.tls && !(options_.ca_file + options_.certificate_file + options_.key_file).empty()) {
      throw UsageError{
          "EtcdOptions: a file for TLS is named (ca_file, certificate_file, key_file); set tls, too"};
    }
    if (options_.certificate_file.empty() != options_.key_file.empty())
      throw UsageError{"EtcdOptions: of certificate_file and key_file, one is set and the other is not"};
  }

  [[nodiscard]] static bool is_endpoint(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || address.find_first_of("/ ") != std::string::npos)
      return false;
    int port = 0;
    const char* const last = address.data() + address.size();
    const auto [end, error] = std::from_chars(address.data() + colon + 1, last, port);
    return error == std::errc{} && end == last && port >= 1 && port <= 65535;
  }

  void log_in(std::uint64_t used, const Deadline& deadline) {
    const std::unique_lock login{login_mutex_, deadline.time()};
    if (!login) throw UnavailableError{name() + ": no answer to a log-in in time; nothing was changed"};
    if (token().number != used) return;
    const Credentials mine = current_credentials(options_.user, options_.password, options_.credentials);
    const nlohmann::json wanted{{"name", mine.user}, {"password", mine.password}};
    const nlohmann::json answer =
        call("/v3/auth/authenticate", wanted.dump(), EtcdRequest::read, false, deadline);
    const std::scoped_lock lock{token_mutex_};
    token_ = {json_text(answer, "token"), used + 1};
    RemoteObserver::count(observer_.log_ins);
  }

  nlohmann::json call(const std::string& path, const std::string& body, EtcdRequest kind, bool with_token,
                      const Deadline& deadline) {
    bool logged_in = !with_token || !has_user();
    Backoff pauses;
    std::size_t distrusted = 0;  // one after the other
    for (std::size_t tries = 1;; ++tries) {
      const EtcdNodePtr node = endpoints_.preferred();
      if (deadline.has_passed())  // nothing is sent that could not be answered
        throw_unavailable(node->address + ": the time was up before anything was sent", deadline);
      const auto longest = kind == EtcdRequest::long_write ? options_.timeout : options_.response_timeout;
      Attempt tried = attempt(*node, path, body, deadline.within(longest), with_token);
      const std::string reason = node->address + ": " + tried.verdict.reason;
      distrusted = tried.distrusted ? distrusted + 1 : 0;
      if (distrusted >= endpoints_.size()) throw ServerError{reason};  // waiting makes no certificate better
      switch (tried.verdict.outcome) {
        case EtcdOutcome::done:
          return std::move(tried.answer);
        case EtcdOutcome::token_expired:
          if (logged_in) throw ServerError{reason};
          logged_in = true;
          log_in(tried.token, deadline);
          continue;
        case EtcdOutcome::refused:
          throw ServerError{reason};
        case EtcdOutcome::unknown:
          // First: a node that hangs still accepts connections, and the next write would meet it again.
          endpoints_.give_up_on(node);
          if (kind != EtcdRequest::read) throw_unknown(reason);
          break;
        case EtcdOutcome::not_carried_out:
          break;
      }
      endpoints_.give_up_on(node);
      // All endpoints are tried one after the other, and then again after a pause.
      if (deadline.has_passed() || (tries % endpoints_.size() == 0 && !pauses.pause(deadline)))
        throw_unavailable(reason, deadline);
      RemoteObserver::count(observer_.retries);
    }
  }

  [[nodiscard]] Attempt attempt(EtcdNode& node, const std::string& path, const std::string& body,
                                const Deadline& until, bool with_token) {
    const Token used = with_token ? token() : Token{};
    std::unique_ptr<EtcdConnection> connection = endpoints_.borrow(node);
    EtcdReply reply = connection->post(path, used.text, body, {options_.connect_timeout, until});
    if (reply.status == 0) {  // the connection is not reused, nor are its sisters, which may be dead as well
      EtcdEndpoints::close_idle(node);
      observer_.failure(node.address, reply.reason);
      return {.verdict = {reply.sent ? EtcdOutcome::unknown : EtcdOutcome::not_carried_out,
                          std::move(reply.reason)},
              .distrusted = reply.distrusted};
    }
    observer_.success(node.address);
    EtcdEndpoints::give_back(node, std::move(connection));
    nlohmann::json answer = nlohmann::json::parse(reply.body, nullptr, false);
    EtcdVerdict verdict = judge_answer(reply.status, answer, reply.body);
    return {std::move(verdict), std::move(answer), used.number};
  }

  /// Asks the cluster from time to time who its members are. Without an answer, all stays as it is.
  void follow_members(const Deadline& deadline) noexcept try {
    constexpr std::chrono::seconds kInterval{30};
    const auto now = Deadline::Clock::now().time_since_epoch();
    auto last = followed_.load();
    if (last.count() != 0 && now - last < kInterval) return;
    if (!followed_.compare_exchange_strong(last, now)) return;
    const Attempt tried = attempt(*endpoints_.preferred(), "/v3/cluster/member/list", "{}",
                                  deadline.within(options_.response_timeout), true);
    if (tried.verdict.outcome == EtcdOutcome::done) endpoints_.set_members(member_addresses(tried.answer));
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory, and the call before has succeeded
  }
  /// Those at which clients are served; a learner serves none.
  [[nodiscard]] std::vector<std::string> member_addresses(const nlohmann::json& answer) const {
    const std::string scheme = options_.tls ? "https://" : "http://";
    std::vector<std::string> addresses;
    for (const nlohmann::json& member : json_member(answer, "members")) {
      if (json_flag(member, "isLearner")) continue;
      for (const nlohmann::json& url : json_member(member, "clientURLs")) {
        const std::string text = url.is_string() ? url.get<std::string>() : std::string{};
        if (text.starts_with(scheme) && is_endpoint(text.substr(scheme.size())))
          addresses.push_back(text.substr(scheme.size()));
      }
    }
    return addresses;
  }

  [[noreturn]] static void throw_unknown(const std::string& reason) {
    throw OutcomeUnknownError{reason +
                              "; the write may have been carried out, may still be, or never: read before "
                              "deciding to repeat it"};
  }
  [[noreturn]] void throw_unavailable(const std::string& reason, const Deadline& deadline) const {
    throw UnavailableError{name() + ": no node could carry it out within " +
                           std::to_string(deadline.given().count()) +
                           " ms; the last one tried said: " + reason};
  }

  const EtcdOptions options_;
  RemoteObserver observer_;
  EtcdEndpoints endpoints_;
  std::atomic<Deadline::Clock::duration> followed_{};  // when members were asked for; 0 = never

  std::timed_mutex login_mutex_;  // one thread at a time gets a token
  mutable std::mutex token_mutex_;
  Token token_;
};

}}}  // namespace kvstore::v1::detail
