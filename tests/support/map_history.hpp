// SPDX-License-Identifier: MIT
#pragma once

// The recorded calls of a store of small integers, their effect on a map, and words for them.

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "support/linearizability.hpp"

namespace support {

inline constexpr int kMapKeys = 4;

/// Values by key; none if the key does not exist.
using MapState = std::array<std::optional<int>, static_cast<std::size_t>(kMapKeys)>;

enum class MapVerb {
  create,
  read,
  contains,
  update,
  upsert,
  remove,
  modify,
  compare_exchange,
  apply,
  clear,
  snapshot
};

/// One change, alone or in a batch.
struct MapChange {
  MapVerb verb = MapVerb::read;  // in a batch: create, update, upsert or remove
  int key = 0;
  int value = 0;
};

/// A call and its result.
struct MapOperation {
  MapVerb verb = MapVerb::read;
  MapChange first{};
  MapChange second{};         // of a batch
  int expected = 0;           // by compare_exchange
  bool succeeded = false;     // as reported by the forms that do not throw
  std::optional<int> seen{};  // the value that read returned, or that modify was shown
  MapState snapshot{};        // the contents that a save wrote

  /// Applies the call to `state`. @returns false if the result would have been another one
  [[nodiscard]] bool perform(MapState& state) const {
    auto& entry = state[static_cast<std::size_t>(first.key)];
    switch (verb) {
      case MapVerb::read:
        return entry == seen;
      case MapVerb::contains:
        return entry.has_value() == succeeded;
      case MapVerb::modify:
      case MapVerb::compare_exchange:
        return replace(entry);
      case MapVerb::apply:
        return apply(state);
      case MapVerb::clear:
        return state = MapState{}, true;
      case MapVerb::snapshot:
        return state == snapshot;
      default:
        return change(state, first) == succeeded;
    }
  }

 private:
  /// A change that depends on the present value.
  [[nodiscard]] bool replace(std::optional<int>& entry) const {
    const bool would = verb == MapVerb::modify ? entry.has_value() : entry == expected;
    if (would != succeeded) return false;
    if (verb == MapVerb::modify && entry != seen) return false;
    if (succeeded) entry = first.value;
    return true;
  }

  /// Applies one change. Returns the result of its verb.
  static bool change(MapState& state, const MapChange& change) {
    auto& entry = state[static_cast<std::size_t>(change.key)];
    const bool existed = entry.has_value();
    const bool needs_key = change.verb == MapVerb::update || change.verb == MapVerb::remove;
    if (needs_key && !existed) return false;
    if (change.verb == MapVerb::create && existed) return false;
    entry = change.value;
    if (change.verb == MapVerb::remove) entry.reset();
    return change.verb != MapVerb::upsert || !existed;
  }

  [[nodiscard]] bool apply(MapState& state) const {
    MapState next = state;
    const auto possible = [&next](const MapChange& part) {
      return change(next, part) || part.verb == MapVerb::upsert;
    };
    const bool all = possible(first) && possible(second);
    if (all) state = next;
    return all == succeeded;
  }
};

using MapHistory = History<MapOperation>;

inline std::string to_text(const MapChange& change) {
  constexpr std::array kNames{"create", "read",   "contains", "update",
                              "upsert", "remove", "modify",   "compare_exchange",
                              "apply",  "clear",  "snapshot"};
  return kNames[static_cast<std::size_t>(change.verb)] + std::string{"("} + std::to_string(change.key) +
         ", " + std::to_string(change.value) + ")";
}

inline std::string to_text(const std::optional<int>& value) { return value ? std::to_string(*value) : "-"; }

inline std::string to_text(const MapState& state) {
  std::string text = "{";
  for (const auto& value : state) text += ' ' + to_text(value);
  return text + " }";
}

inline std::string to_text(const MapOperation& operation) {
  std::string text;
  if (operation.verb == MapVerb::apply) {
    text = "apply: " + to_text(operation.first) + ", " + to_text(operation.second);
  } else {
    text = to_text(MapChange{operation.verb, operation.first.key, operation.first.value});
  }
  if (operation.verb == MapVerb::compare_exchange) text += " from " + std::to_string(operation.expected);
  if (operation.verb == MapVerb::snapshot) return text + " -> " + to_text(operation.snapshot);
  return text + " -> " + (operation.succeeded ? "true " : "false ") + to_text(operation.seen);
}

/// One call a line, in the order in which the calls began.
inline std::string to_text(const MapHistory& history) {
  std::string text;
  for (const auto& call : history) {
    text += std::to_string(call.began) + ".." + std::to_string(call.returned) + "  " +
            to_text(call.operation) + '\n';
  }
  return text;
}

}  // namespace support
