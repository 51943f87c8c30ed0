// SPDX-License-Identifier: MIT

// What SocketAlarm and HostLookup do where the system has no descriptor or thread left, and in a forked
// child.

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/host_lookup.hpp"
#include "kvstore/detail/remote/socket_alarm.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/eventually.hpp"
#include "support/no_more_threads.hpp"

namespace socket_alarm_test {

using namespace std::chrono_literals;
using kvstore::detail::Deadline;
using kvstore::detail::HostLookup;
using kvstore::detail::SocketAlarm;

namespace {

class SocketPair {
 public:
  SocketPair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) == 0); }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  ~SocketPair() {
    for (const int end : ends_) ::close(end);
  }

  [[nodiscard]] int socket() const { return ends_[0]; }
  [[nodiscard]] bool is_shut_down() const {
    char byte = 0;
    return ::recv(ends_[1], &byte, 1, MSG_DONTWAIT) == 0;
  }

 private:
  std::array<int, 2> ends_{};
};

class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &usual_);
    const ::rlimit none{0, usual_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &usual_); }

 private:
  ::rlimit usual_{};
};

}  // namespace

TEST_CASE("Socket alarm: a socket is shut down at its deadline, opened before or after") {
  SocketAlarm alarm;
  const SocketPair early;
  const SocketPair late;
  const SocketPair never;
  SocketAlarm::Watched one;
  SocketAlarm::Watched two;
  SocketAlarm::Watched three;
  alarm.opened(one, early.socket());
  alarm.opened(three, never.socket());
  const SocketAlarm::Armed far{alarm, three, Deadline::in(1h)};
  const SocketAlarm::Armed near{alarm, one, Deadline::in(10ms)};
  const SocketAlarm::Armed soon{alarm, two, Deadline::in(20ms)};
  CHECK(support::eventually([&] { return early.is_shut_down(); }));
  std::this_thread::sleep_for(50ms);
  alarm.opened(two, late.socket());
  CHECK(support::eventually([&] { return late.is_shut_down(); }));
  CHECK_FALSE(never.is_shut_down());
}

TEST_CASE("Socket alarm: a socket that cannot be watched is shut down at once") {
  SocketAlarm alarm;
  const SocketPair pair;
  SocketAlarm::Watched watched;
  {
    const NoMoreDescriptors none;
    alarm.opened(watched, pair.socket());
  }
  CHECK(pair.is_shut_down());
}

TEST_CASE("Socket alarm: without a thread a conversation goes on, and the next one has a deadline again") {
  SocketAlarm alarm;
  const SocketPair first;
  const SocketPair second;
  SocketAlarm::Watched watched;
  {
    const support::NoMoreThreads none;
    alarm.opened(watched, first.socket());
    const SocketAlarm::Armed armed{alarm, watched, Deadline::in(1h)};
    CHECK_FALSE(first.is_shut_down());
  }
  alarm.opened(watched, second.socket());
  const SocketAlarm::Armed armed{alarm, watched, Deadline::in(10ms)};
  CHECK(support::eventually([&] { return second.is_shut_down(); }));
}

TEST_CASE("Host lookup: without a thread it says so, and finds the host later") {
  {
    const support::NoMoreThreads none;
    const auto found = HostLookup::find("localhost", Deadline::in(1h));
    CHECK(found.addresses.empty());
    CHECK_THAT(found.reason, Catch::Matchers::ContainsSubstring("no thread can look it up"));
  }
  CHECK_FALSE(HostLookup::find("localhost", Deadline::in(1h)).addresses.empty());
}

TEST_CASE("Host lookup: a forked child finds hosts, whatever other threads of its parent look up") {
  std::atomic<bool> ends = false;
  std::thread busy{[&] {
    while (!ends) (void)HostLookup::find("localhost", Deadline::in(1h));
  }};
  std::string found = "found";
  for (int i = 0; i < 100 && found == "found"; ++i) {
    support::ChildProcess child{[] {
      ::alarm(60);  // ends it if it waits for a thread that it has not
      return std::string{HostLookup::find("localhost", Deadline::in(10s)).addresses.empty() ? "none"
                                                                                            : "found"};
    }};
    found = child.result();
  }
  ends = true;
  busy.join();
  CHECK(found == "found");
}

}  // namespace socket_alarm_test
