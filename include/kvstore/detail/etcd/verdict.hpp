// SPDX-License-Identifier: MIT
#pragma once

// The meaning of etcd's answers: the rules on which "nothing was changed" rests.

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/etcd/gateway.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

enum class EtcdOutcome : std::uint8_t {
  done,             // carried out
  not_carried_out,  // certainly not, but another endpoint may do it
  token_expired,    // certainly not, but a new token will help
  refused,          // certainly not, and no other endpoint would either
  unknown           // carried out, still to be carried out, or neither
};

struct EtcdVerdict {
  EtcdOutcome outcome;
  std::string reason;  ///< in etcd's words
};

/// Judges an error by its text and HTTP status. The gateway gives many errors the same status. Some of these
/// errors arise before etcd proposes a write to the cluster, and some after. So only these texts are proof:
/// the node's first check ("no leader", "not capable", "learner"), or its throttle before proposing ("too
/// many requests"). Source: etcd v3.4, etcdserver/api/v3rpc/interceptor.go, etcdserver/v3_server.go.
[[nodiscard]] inline EtcdVerdict judge_error(int status, std::string reason) {
  constexpr std::array<std::string_view, 4> kBeforeProposing{
      "etcdserver: no leader", "etcdserver: too many requests", "etcdserver: not capable",
      "etcdserver: rpc not supported for learner"};
  // Both are detected before anything is changed, the second when the write's turn comes.
  constexpr std::array<std::string_view, 2> kToken{"etcdserver: invalid auth token",
                                                   "etcdserver: revision of auth store is old"};
  const auto is_one_of = [&](const auto& words) {
    return std::find(words.begin(), words.end(), reason) != words.end();
  };
  if (is_one_of(kBeforeProposing)) return {EtcdOutcome::not_carried_out, std::move(reason)};
  if (is_one_of(kToken)) return {EtcdOutcome::token_expired, std::move(reason)};
  // From the gateway's own call to its server, or a cancelled one, which other gateways call 499.
  constexpr int kRequestTimeout = 408;
  constexpr int kCancelled = 499;
  const bool definite = status >= 400 && status < 500 && status != kRequestTimeout && status != kCancelled;
  return {definite ? EtcdOutcome::refused : EtcdOutcome::unknown, std::move(reason)};
}

/// Judges a whole answer. `parsed` is its body, or a discarded value if the body is not JSON.
[[nodiscard]] inline EtcdVerdict judge_answer(int status, const nlohmann::json& parsed,
                                              std::string_view body) {
  if (status == 200 && parsed.is_object()) return {EtcdOutcome::done, {}};
  std::string reason = json_text(parsed, "message");
  if (reason.empty()) reason = json_text(parsed, "error");
  if (reason.empty())
    reason = "HTTP status " + std::to_string(status) + ", " + std::string{body.substr(0, 80)};
  if (status == 404) reason += " (is this etcd 3.4 or later, with its JSON gateway?)";
  return judge_error(status, std::move(reason));
}

}}}  // namespace kvstore::v1::detail
