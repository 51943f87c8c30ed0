// SPDX-License-Identifier: MIT
#pragma once

// All connections. Their number is bounded, and that of strangers in particular: if too many wait, the one
// that has waited longest goes. Silent connections can therefore keep nobody out who says what he wants. Nor
// can those that do not take their answers: when there is no more room, the one that has stalled longest
// goes.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>

namespace metrics_server {

inline constexpr std::size_t kMaxConnections =
    512;                                           ///< below the 1024 files that a process commonly may open
inline constexpr std::size_t kMaxStrangers = 256;  ///< that have not yet shown that they may ask
inline constexpr std::size_t kMaxAnswers = 128 * 1024 * 1024;  ///< bytes that wait for their clients
inline constexpr std::chrono::milliseconds kStall{500};        ///< in which a client could take a piece

/// Used by the thread of the sockets alone.
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
    sessions_.erase(number);
  }

  /// Whether another connection fits, for which a stalled one or a stranger may have to go. Nobody has come
  /// yet: a stranger that has just come is not sent away for the next one.
  [[nodiscard]] bool make_room() {
    if (sessions_.size() < kMaxConnections || drop_stalled(0)) return true;
    const bool patient = !strangers_.empty() && sessions_.at(*strangers_.begin())->begun() < a_while_ago();
    return patient && drop_oldest_stranger();
  }

  /// Whether another answer fits, for which stalled ones may have to go. A larger one than all that may wait
  /// fits alone.
  [[nodiscard]] bool make_room_for(std::size_t bytes) {
    const auto fits = [&] {
      std::size_t held = 0;
      for (const auto& [number, session] : sessions_) held += session->held_bytes();
      return held == 0 || held + bytes <= kMaxAnswers;
    };
    while (!fits()) {
      if (!drop_stalled(1)) return false;
    }
    return true;
  }

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
  [[nodiscard]] static std::chrono::steady_clock::time_point a_while_ago() {
    return std::chrono::steady_clock::now() - kStall;
  }

  /// Ends the connection whose client has been taking nothing for longest, of those whose answers have that
  /// many bytes or more. @returns whether there was one
  bool drop_stalled(std::size_t bytes) {
    std::shared_ptr<Session> slowest;
    std::uint64_t of_slowest = 0;
    auto since = a_while_ago();
    for (const auto& [number, session] : sessions_) {
      const auto stalled = session->stalled_since();
      if (session->held_bytes() < bytes || !stalled || *stalled >= since) continue;
      since = *stalled;
      slowest = session;
      of_slowest = number;
    }
    if (slowest == nullptr) return false;
    remove(of_slowest);
    slowest->close();
    return true;
  }

  std::map<std::uint64_t, std::shared_ptr<Session>> sessions_;
  std::set<std::uint64_t> strangers_;  ///< the oldest first
  std::uint64_t last_ = 0;
};

}  // namespace metrics_server
