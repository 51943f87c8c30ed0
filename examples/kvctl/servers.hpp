// SPDX-License-Identifier: MIT
#pragma once

// The commands on stores that are on servers: PATH is redis://, rediss://, etcd:// or etcds://.

#include <cstddef>
#include <string>
#include <string_view>

#include "arguments.hpp"
#include "outcome.hpp"
#include "output.hpp"

namespace kvctl {

/// Whether a path names servers. @throws Failure if they are of a kind that there is not
[[nodiscard]] inline bool is_on_servers(std::string_view path) {
  for (const std::string_view scheme : {"redis://", "rediss://", "etcd://", "etcds://"}) {
    if (path.starts_with(scheme)) return true;
  }
  const std::size_t end = path.find_first_not_of("abcdefghijklmnopqrstuvwxyz");
  if (end != 0 && end != std::string_view::npos && path.substr(end).starts_with("://")) {
    throw Failure{
        kUsage,
        std::string{path} + ": servers are named by redis://, rediss:// (TLS), etcd:// or etcds://HOST:PORT"};
  }
  return false;
}

/// Runs the command of that name, of whose paths at least one is on servers.
/// @throws Failure for a command that has nothing to do there, or a kind of servers this program cannot reach
Status run_on_servers(const std::string& command, const Arguments& arguments, Output& out);

}  // namespace kvctl
