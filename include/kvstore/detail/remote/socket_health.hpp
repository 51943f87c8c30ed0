// SPDX-License-Identifier: MIT
#pragma once

// What a socket does about a server whose machine or network is gone: it reports an error after about ten
// seconds, whether the client waits for an answer or has data that nobody acknowledges.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace kvstore { inline namespace v1 { namespace detail {

inline void watch_health(int socket) noexcept {
  const auto set = [socket](int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof value);  // best effort: deadlines hold without it
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
  set(IPPROTO_TCP, TCP_KEEPIDLE, 4);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 2);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
#endif
#ifdef TCP_USER_TIMEOUT
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);  // ms; SO_KEEPALIVE rests while data are not acknowledged
#endif
}

}}}  // namespace kvstore::v1::detail
