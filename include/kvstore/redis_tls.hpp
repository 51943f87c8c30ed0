// SPDX-License-Identifier: MIT
#pragma once

// TLS for stores and storages on Redis. Needs OpenSSL; not part of kvstore/kvstore.hpp.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <memory>
#include <string>

#include "kvstore/detail/redis/openssl.hpp"
#include "kvstore/detail/remote/tls.hpp"

namespace kvstore { inline namespace v1 {

/// The files of TLS, each in PEM.
struct RedisTlsOptions {
  /// The authorities that may have signed the servers' certificates; empty = the system's.
  std::string ca_file{};
  /// This client's certificate, for servers that require one; empty = none.
  std::string certificate_file{};
  /// That certificate's key. Set both files or neither.
  std::string key_file{};
};

/// The value of `RedisClusterOptions::tls`, for servers that want TLS (1.2 or newer). The certificate of each
/// node is verified, and must be for the host under which the node is reached: that of a seed, or the one
/// that the cluster names (`cluster-preferred-endpoint-type`). May be shared by any number of stores.
///
/// ```cpp
/// kvstore::RedisClusterKeyValueStore<std::string, int> store{
///     {.seeds = {"redis.example.com:6379"}, .tls = kvstore::redis_tls({.ca_file = "ca.pem"})}};
/// ```
///
/// @throws UsageError if a file cannot be used, with its name
[[nodiscard]] inline std::shared_ptr<const detail::Tls> redis_tls(const RedisTlsOptions& options = {}) {
  return std::make_shared<detail::OpenSslTls>(options.ca_file, options.certificate_file, options.key_file);
}

}}  // namespace kvstore::v1
