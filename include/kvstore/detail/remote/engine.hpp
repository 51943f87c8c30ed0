// SPDX-License-Identifier: MIT
#pragma once

// The interface between a store and an engine that keeps entries as text on servers.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The state of a key that a change requires.
enum class Before : std::uint8_t { any, absent, present };

/// The combined effect of a batch's operations on one key, as text owned by the `RemoteBatch`.
struct RemoteChange {
  std::string_view key;
  Before before;
  std::optional<std::string_view> value;  ///< none if the key is removed
  std::size_t operation;                  ///< the first of the batch that concerns the key
};

/// How much of many entries an engine takes at once: so few that no server refuses them, and enough to make
/// round trips cheap.
struct BatchLimit {
  std::size_t entries = 100;
  std::size_t bytes = std::size_t{1} << 20;  ///< of keys, values and framing
  std::size_t framing = 0;                   ///< bytes of an entry besides its key and value
};

/// How long an entry may be asked to live: nothing, or what no clock can tell, is neither an error nor
/// forever.
[[nodiscard]] constexpr std::chrono::milliseconds possible_life(std::chrono::milliseconds life) noexcept {
  return std::clamp<std::chrono::milliseconds>(life, std::chrono::milliseconds{1},
                                               std::chrono::hours{24 * 365 * 100});
}

/// The result of an engine's `replace_if`.
struct RemoteExchange {
  bool replaced;
  std::optional<std::string> current;  ///< if not replaced: the value, or none if there is no such key
};

/// An engine that keeps entries as text: the key's text and the value's JSON. Every call may come from any
/// thread. Calls throw UnavailableError and ServerError; calls that write also OutcomeUnknownError.
template <class Engine>
concept RemoteEngine = requires(Engine& engine, std::string_view text, std::span<const RemoteChange> changes,
                                std::span<const std::string> keys, std::size_t limit,
                                FunctionRef<void(std::string_view, std::string_view)> visit) {
  { engine.create(text, text) } -> std::same_as<bool>;  // false if the key exists already
  { engine.update(text, text) } -> std::same_as<bool>;  // false if the key does not exist
  { engine.upsert(text, text) } -> std::same_as<bool>;  // true if the key did not exist
  { engine.remove(text) } -> std::same_as<bool>;        // false if the key did not exist
  { engine.read(text) } -> std::same_as<std::optional<std::string>>;
  { engine.read_many(keys) } -> std::same_as<std::vector<std::optional<std::string>>>;  // in their order
  engine.read_prefix(text, limit, visit);
  { engine.contains(text) } -> std::same_as<bool>;
  { engine.replace_if(text, text, text) } -> std::same_as<RemoteExchange>;  // key, expected, desired
  { engine.apply(changes) } -> std::same_as<const RemoteChange*>;  // the change whose `before` did not hold
  { engine.batch_limit() } -> std::same_as<BatchLimit>;
  engine.for_each(visit);  // each key once
  { engine.size() } -> std::same_as<std::size_t>;
  { engine.empty() } -> std::same_as<bool>;
  engine.clear();
  { engine.name() } -> std::convertible_to<std::string>;  // for messages
  { engine.metrics() } -> std::same_as<RemoteMetrics>;
};

/// An engine whose entries can end by themselves, such as the lock of a holder that has died. `create_for` is
/// `create` of one that ends after `life`; `extend_if` lets it live that long from now on, and is false
/// unless it exists with this value. `replace_if` leaves the end of an entry where it is; the other writes
/// make an entry that stays.
template <class Engine>
concept LeasingEngine =
    RemoteEngine<Engine> && requires(Engine& engine, std::string_view text, std::chrono::milliseconds life) {
      { engine.create_for(text, text, life) } -> std::same_as<bool>;
      { engine.extend_if(text, text, life) } -> std::same_as<bool>;
    };

}}}  // namespace kvstore::v1::detail
