// SPDX-License-Identifier: MIT

// A connection gives back the memory of one huge command.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

#include "kvstore/detail/redis/connection.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/redis_cluster_options.hpp"
#include "support/catch.hpp"
#include "support/held_memory.hpp"
#include "support/scripted_server.hpp"

namespace huge_command_test {

using namespace std::chrono_literals;
using kvstore::detail::Deadline;
using kvstore::detail::RedisConnection;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Takes what one connection sends, and keeps none of it.
void drain(const support::Listener& listener) {
  const int socket = listener.accept();
  std::array<char, 65536> part{};
  while (::recv(socket, part.data(), part.size(), 0) > 0) {}
  ::close(socket);
}

}  // namespace

TEST_CASE("Redis connection: the memory of one huge command is given back once the command is sent") {
  const support::Listener listener;
  const std::jthread server{[&] { drain(listener); }};
  RedisConnection connection{
      *kvstore::detail::RedisAddress::parse(listener.endpoint()), {}, {}, Deadline::in(5s)};
  const std::string huge(64 * kMiB, 'x');
  connection.append({"SET", "key", huge});
  const std::size_t full = support::held_memory();
  std::size_t sent = 0;
  REQUIRE(connection.send(Deadline::in(60s), 60s, sent));
  CHECK(sent > huge.size());
  CHECK(support::held_memory() + 60 * kMiB < full);
}

}  // namespace huge_command_test
