// SPDX-License-Identifier: MIT
#pragma once

// All connections. Their number is bounded, and that of strangers in particular: if too many wait, the one
// that has waited longest goes. Silent connections can therefore keep nobody out who says what he wants.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace metrics_server {

inline constexpr std::size_t kMaxConnections =
    512;                                           ///< below the 1024 files that a process commonly may open
inline constexpr std::size_t kMaxStrangers = 256;  ///< that have not yet shown that they may ask

/// Used by the thread of the sockets alone. `Session` has `stop()` and `close()`.
template <class Session>
class Registry {
 public:
  [[nodiscard]] std::uint64_t add(std::shared_ptr<Session> session) {
    if (strangers_.size() >= kMaxStrangers) drop_oldest_stranger();
    sessions_.emplace(++last_, std::move(session));
    strangers_.insert(last_);
    return last_;
  }

  /// The connection has brought a request that is allowed.
  void trust(std::uint64_t number) { strangers_.erase(number); }

  void remove(std::uint64_t number) {
    strangers_.erase(number);
    if (sessions_.erase(number) != 0 && on_room_) std::exchange(on_room_, nullptr)();
  }

  /// Whether another connection fits, for which a stranger may have to go.
  [[nodiscard]] bool make_room() { return sessions_.size() < kMaxConnections || drop_oldest_stranger(); }

  /// Calls `on_room` once, as soon as a connection has ended.
  void wait_for_room(std::function<void()> on_room) { on_room_ = std::move(on_room); }

  bool drop_oldest_stranger() {
    if (strangers_.empty()) return false;
    const std::uint64_t oldest = *strangers_.begin();
    const std::shared_ptr<Session> session = sessions_.at(oldest);
    remove(oldest);
    session->close();
    return true;
  }

  /// Ends every connection whose request has not come in full.
  void stop() {
    const auto all = sessions_;
    for (const auto& [number, session] : all) session->stop();
  }

 private:
  std::map<std::uint64_t, std::shared_ptr<Session>> sessions_;
  std::set<std::uint64_t> strangers_;  ///< the oldest first
  std::uint64_t last_ = 0;
  std::function<void()> on_room_;
};

}  // namespace metrics_server
