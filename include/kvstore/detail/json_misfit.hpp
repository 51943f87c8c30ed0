// SPDX-License-Identifier: MIT
#pragma once

// nlohmann/json converts numbers silently: 300 becomes 44 in a `uint8_t` member, 1.5 becomes 1 in an `int`.
// Such a change shows when the member is converted back, so the two trees are compared where both have a
// value. Other differences are the type's own business: defaults, renamed members, normalising.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/error.hpp"

namespace kvstore::inline v0::detail {

template <std::integral... Narrow>
[[nodiscard]] bool is_one_cut_off(std::uint64_t before, std::uint64_t after) noexcept {
  return ((static_cast<std::uint64_t>(static_cast<Narrow>(before)) == after) || ...);
}

/// Whether an integer came back as what a narrower or otherwise signed type leaves of it.
[[nodiscard]] inline bool is_cut_off(const nlohmann::json& before, const nlohmann::json& after) {
  const auto was = before.get<std::uint64_t>();  // two's complement: what a cast keeps of negative numbers
  const auto is = after.get<std::uint64_t>();
  const bool was_negative = !before.is_number_unsigned() && before.get<std::int64_t>() < 0;
  const bool is_negative = !after.is_number_unsigned() && after.get<std::int64_t>() < 0;
  if (was == is) return was_negative != is_negative;
  return is_one_cut_off<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t>(
      was, is);
}

/// Whether a fraction came back as the integer that a cast makes of it; out of range, casts make anything.
[[nodiscard]] inline bool is_truncated(const nlohmann::json& before, const nlohmann::json& after) {
  const double whole = std::trunc(before.get<double>());
  if (std::abs(whole) >= 0x1p63) return true;
  const nlohmann::json integer(static_cast<std::int64_t>(whole));
  return integer == after || is_cut_off(integer, after) || std::abs(after.get<double>()) == 0x1p31;
}

[[nodiscard]] inline bool is_misfit(const nlohmann::json& before, const nlohmann::json& after) {
  if (before.is_boolean()) return after.is_number();
  if (!before.is_number()) return false;
  if (after.is_boolean()) return true;
  if (after.is_number_float()) return !std::isfinite(after.get<double>());
  if (!after.is_number_integer()) return false;
  return before.is_number_float() ? is_truncated(before, after) : is_cut_off(before, after);
}

/// Whether two trees are equal but for the order in arrays, which hash sets do not keep.
[[nodiscard]] inline bool same_but_for_order(const nlohmann::json& a, const nlohmann::json& b) {
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    return std::all_of(a.begin(), a.end(), [&b](const nlohmann::json& element) {
      return std::any_of(b.begin(), b.end(),
                         [&](const auto& other) { return same_but_for_order(element, other); });
    });
  }
  if (!a.is_object() || !b.is_object() || a.size() != b.size()) return a == b && !is_misfit(a, b);
  const auto& members = a.get_ref<const nlohmann::json::object_t&>();
  return std::all_of(members.begin(), members.end(), [&b](const auto& member) {
    const auto other = b.find(member.first);
    return other != b.end() && same_but_for_order(member.second, *other);
  });
}

struct Misfit {
  std::string path;  ///< as a JSON pointer
  std::string value;
};

[[nodiscard]] std::optional<Misfit> find_misfit(const nlohmann::json& before, const nlohmann::json& after);

[[nodiscard]] inline std::optional<Misfit> in_member(std::optional<Misfit> misfit, const std::string& name) {
  if (misfit) misfit->path = '/' + name + misfit->path;
  return misfit;
}

/// Both are sorted, so one walk along them meets all members of the same name.
[[nodiscard]] inline std::optional<Misfit> find_misfit_in_object(const nlohmann::json& before,
                                                                 const nlohmann::json& after) {
  const auto& others = after.get_ref<const nlohmann::json::object_t&>();
  auto other = others.begin();
  for (const auto& [key, value] : before.get_ref<const nlohmann::json::object_t&>()) {
    while (other != others.end() && other->first < key) ++other;
    if (other == others.end()) break;
    if (other->first != key) continue;
    if (auto misfit = find_misfit(value, other->second)) return in_member(std::move(misfit), key);
  }
  return std::nullopt;
}

[[nodiscard]] inline std::optional<Misfit> find_misfit_in_array(const nlohmann::json& before,
                                                                const nlohmann::json& after) {
  const auto is_elsewhere = [&after](const nlohmann::json& element) {
    return std::any_of(after.begin(), after.end(),
                       [&element](const auto& other) { return same_but_for_order(element, other); });
  };
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    auto misfit = find_misfit(before[i], after[i]);
    if (misfit && !is_elsewhere(before[i])) return in_member(std::move(misfit), std::to_string(i));
  }
  return std::nullopt;
}

/// Finds a number or boolean of `before` that a conversion changed on the way to `after`.
inline std::optional<Misfit> find_misfit(const nlohmann::json& before, const nlohmann::json& after) {
  if (before.is_object() && after.is_object()) return find_misfit_in_object(before, after);
  if (before.is_array() && after.is_array()) return find_misfit_in_array(before, after);
  if (!is_misfit(before, after)) return std::nullopt;
  return Misfit{{}, before.dump()};
}

/// Refuses a value that came back changed from the type that it was converted to.
inline void refuse_misfits(std::size_t offset, const nlohmann::json& before, const nlohmann::json& after) {
  const auto misfit = find_misfit(before, after);
  if (!misfit) return;
  const std::string kind = misfit->value == "true" || misfit->value == "false" ? "boolean " : "number ";
  const std::string where = misfit->path.empty() ? std::string{} : " at " + misfit->path;
  throw ParseError{offset, kind + misfit->value + where + " does not fit its field"};
}

}  // namespace kvstore::inline v0::detail
