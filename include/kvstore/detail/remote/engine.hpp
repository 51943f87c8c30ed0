// SPDX-License-Identifier: MIT
#pragma once

// What keeps entries as text on servers: what a store asks of it.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kvstore/detail/base/function_ref.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a key has to be there for a change to be carried out.
enum class Before : std::uint8_t { any, absent, present };

/// What all of a batch's operations on one key come to, as text that the `RemoteBatch` owns.
struct RemoteChange {
  std::string_view key;
  Before before;
  std::optional<std::string_view> value;  ///< none: it is not there afterwards
  std::size_t operation;                  ///< the first of the batch that concerns the key
};

/// What `replace_if` of an engine found.
struct RemoteExchange {
  bool replaced;
  std::optional<std::string> current;  ///< if not replaced: the value, or none if there is no such key
};

/// What keeps entries as text: the key's text and the value's JSON. Every call may come from any thread, and
/// throws UnavailableError, ServerError, and if it writes OutcomeUnknownError.
template <class Engine>
concept RemoteEngine = requires(Engine& engine, std::string_view text, std::span<const RemoteChange> changes,
                                FunctionRef<void(std::string_view, std::string_view)> visit) {
  { engine.create(text, text) } -> std::same_as<bool>;  // false: it is there already
  { engine.update(text, text) } -> std::same_as<bool>;  // false: it is not there
  { engine.upsert(text, text) } -> std::same_as<bool>;  // true: it was not there
  { engine.remove(text) } -> std::same_as<bool>;        // false: it was not there
  { engine.read(text) } -> std::same_as<std::optional<std::string>>;
  { engine.contains(text) } -> std::same_as<bool>;
  { engine.replace_if(text, text, text) } -> std::same_as<RemoteExchange>;  // key, expected, desired
  { engine.apply(changes) } -> std::same_as<const RemoteChange*>;  // the one whose `before` did not hold
  engine.for_each(visit);                                          // each key once
  { engine.size() } -> std::same_as<std::size_t>;
  { engine.empty() } -> std::same_as<bool>;
  engine.clear();
  { engine.name() } -> std::convertible_to<std::string>;  // for messages
};

}}}  // namespace kvstore::v1::detail
