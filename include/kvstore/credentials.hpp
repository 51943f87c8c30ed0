// SPDX-License-Identifier: MIT
#pragma once

// Names and passwords for servers, which may change while a program runs.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <functional>
#include <string>

namespace kvstore { inline namespace v1 {

/// A user's name and password. An empty name is Redis's default user.
struct Credentials {
  std::string user{};      ///< the name
  std::string password{};  ///< the password, or a token that counts as one
};

/// Returns what is valid now. It is called before each log-in: on Redis once for each connection, on etcd
/// once for each token. An exception that it throws ends the verb as a ServerError with its text. *Thread
/// safety*: it is called from any thread that uses the store, by several at once, and must not call the
/// store.
using CredentialsSource = std::function<Credentials()>;

}}  // namespace kvstore::v1
