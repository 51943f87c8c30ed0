// SPDX-License-Identifier: MIT
#pragma once

// The addresses of a host by a deadline. `getaddrinfo` has none: where a name server is silent, it takes as
// long as resolv.conf says. So a thread of its own asks, which ends when it has its answer.

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/remote/deadline.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The answer: numeric addresses, those of IPv4 first; or the reason why there is none.
struct HostAddresses {
  std::vector<std::string> addresses{};
  std::string reason{};
};

/// *Thread safety*: safe from any thread. However many threads ask for a host, one look-up is under way.
class HostLookup {
 public:
  [[nodiscard]] static HostAddresses find(const std::string& host, const Deadline& until) {
    if (is_numeric(host)) return {{host}, {}};
    if (until.has_passed()) return {{}, "the time was up before its host was looked up"};
    const std::shared_ptr<HostLookup> lookup = under_way(host);
    std::unique_lock lock{lookup->mutex_};
    const bool answered =
        lookup->answered_.wait_until(lock, until.time(), [&] { return lookup->found_.has_value(); });
    if (!answered) return {{}, "no name server has answered in time"};
    return *lookup->found_;
  }

  [[nodiscard]] static bool is_numeric(const std::string& host) {
    std::array<unsigned char, sizeof(::in6_addr)> bytes{};
    return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
           ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
  }

 private:
  struct Registry {
    const ::pid_t process = ::getpid();
    std::mutex mutex;
    std::map<std::string, std::shared_ptr<HostLookup>> lookups;  // under way
  };
  /// Never destroyed: a look-up may outlive the program's last statement. A forked child has one of its own:
  /// a thread that it has not may hold the parent's mutex.
  [[nodiscard]] static Registry& registry() {
    static constinit std::atomic<Registry*> current = nullptr;
    Registry* known = current.load();
    while (known == nullptr || known->process != ::getpid()) {
      auto mine = std::make_unique<Registry>();
      if (!current.compare_exchange_strong(known, mine.get())) continue;
      if (known != nullptr) leave_to_parent(static_cast<void*>(known));
      return *mine.release();
    }
    return *known;
  }

  [[nodiscard]] static std::shared_ptr<HostLookup> under_way(const std::string& host) {
    const std::lock_guard lock{registry().mutex};
    std::shared_ptr<HostLookup>& lookup = registry().lookups[host];
    if (lookup) return lookup;
    auto started = std::make_shared<HostLookup>();
    try {
      std::thread{[started, host] {
        started->answer(ask(host));
        const std::lock_guard guard{registry().mutex};
        const auto at = registry().lookups.find(host);
        if (at != registry().lookups.end() && at->second == started) registry().lookups.erase(at);
      }}.detach();
      lookup = started;
    } catch (const std::system_error& error) {
      registry().lookups.erase(host);
      started->answer({{}, std::string{"no thread can look it up: "} + error.what()});
    }
    return started;
  }

  void answer(HostAddresses found) {
    const std::lock_guard lock{mutex_};
    found_ = std::move(found);
    answered_.notify_all();
  }

  [[nodiscard]] static HostAddresses ask(const std::string& host) {
    ::addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ::addrinfo* list = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list); error != 0)
      return {{}, ::gai_strerror(error)};
    const std::unique_ptr<::addrinfo, void (*)(::addrinfo*)> owner{list, ::freeaddrinfo};
    HostAddresses found;
    for (const int family : {AF_INET, AF_INET6}) {
      for (const ::addrinfo* at = list; at != nullptr; at = at->ai_next) {
        std::array<char, NI_MAXHOST> text{};
        if (at->ai_family == family && ::getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), text.size(),
                                                     nullptr, 0, NI_NUMERICHOST) == 0)
          found.addresses.emplace_back(text.data());
      }
    }
    if (found.addresses.empty()) found.reason = "the name has no address";
    return found;
  }

  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<HostAddresses> found_;
};

}}}  // namespace kvstore::v1::detail
