// SPDX-License-Identifier: MIT
#pragma once

// nlohmann/json converts numbers silently: 300 becomes 44 in a `uint8_t` member, 1.5 becomes 1 in an `int`.
// Such a change shows when the member is converted back, so the two trees are compared where both have a
// value. Other differences are up to the type: defaults, renamed members, normalising.
//
// `Json` is always `nlohmann::json`. These are templates so that a program which converts no type of its own
// need not include nlohmann/json.hpp.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "kvstore/detail/json/number.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <std::integral... Narrow>
[[nodiscard]] bool is_one_cut_off(std::uint64_t before, std::uint64_t after) noexcept {
  return ((static_cast<std::uint64_t>(static_cast<Narrow>(before)) == after) || ...);
}

/// Whether an integer came back truncated, as by a cast to a narrower or differently signed type.
template <class Json>
[[nodiscard]] bool is_cut_off(const Json& before, const Json& after) {
  // Two's complement: the bits that a cast keeps of a negative number.
  const auto was = before.template get<std::uint64_t>();
  const auto is = after.template get<std::uint64_t>();
  const bool was_negative = !before.is_number_unsigned() && before.template get<std::int64_t>() < 0;
  const bool is_negative = !after.is_number_unsigned() && after.template get<std::int64_t>() < 0;
  if (was == is) return was_negative != is_negative;
  return is_one_cut_off<std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t>(
      was, is);
}

/// Whether a fraction came back as the integer that a cast would make of it; out of range, a cast may yield
/// any value.
template <class Json>
[[nodiscard]] bool is_truncated(const Json& before, const Json& after) {
  if (is_minus_zero(before.template get<double>())) return !(after == 0);
  const double whole = std::trunc(before.template get<double>());
  if (std::abs(whole) >= 0x1p63) return true;
  const Json integer(static_cast<std::int64_t>(whole));
  return integer == after || is_cut_off(integer, after) || std::abs(after.template get<double>()) == 0x1p31;
}

template <class Json>
[[nodiscard]] bool is_misfit(const Json& before, const Json& after) {
  if (before.is_boolean()) return after.is_number();
  if (!before.is_number()) return false;
  if (after.is_boolean()) return true;
  if (after.is_number_float()) return !is_finite(after.template get<double>());
  if (!after.is_number_integer()) return false;
  return before.is_number_float() ? is_truncated(before, after) : is_cut_off(before, after);
}

/// Whether two trees are equal except for the order in arrays, which hash sets do not keep.
template <class Json>
[[nodiscard]] bool same_but_for_order(const Json& a, const Json& b) {
  if (a.is_array() && b.is_array() && a.size() == b.size()) {
    return std::all_of(a.begin(), a.end(), [&b](const Json& element) {
      return std::any_of(b.begin(), b.end(),
                         [&](const auto& other) { return same_but_for_order(element, other); });
    });
  }
  if (!a.is_object() || !b.is_object() || a.size() != b.size()) return a == b && !is_misfit(a, b);
  const auto& members = a.template get_ref<const typename Json::object_t&>();
  return std::all_of(members.begin(), members.end(), [&b](const auto& member) {
    const auto other = b.find(member.first);
    return other != b.end() && same_but_for_order(member.second, *other);
  });
}

struct Misfit {
  std::string path;  ///< as a JSON pointer
  std::string value;
};

template <class Json>
[[nodiscard]] std::optional<Misfit> find_misfit(const Json& before, const Json& after);

[[nodiscard]] inline std::optional<Misfit> in_member(std::optional<Misfit> misfit, const std::string& name) {
  if (misfit) misfit->path = '/' + name + misfit->path;
  return misfit;
}

/// Both are sorted, so one pass over them meets all members of the same name.
template <class Json>
[[nodiscard]] std::optional<Misfit> find_misfit_in_object(const Json& before, const Json& after) {
  const auto& others = after.template get_ref<const typename Json::object_t&>();
  auto other = others.begin();
  for (const auto& [key, value] : before.template get_ref<const typename Json::object_t&>()) {
    while (other != others.end() && other->first < key) ++other;
    if (other == others.end()) break;
    if (other->first != key) continue;
    if (auto misfit = find_misfit(value, other->second)) return in_member(std::move(misfit), key);
  }
  return std::nullopt;
}

template <class Json>
[[nodiscard]] std::optional<Misfit> find_misfit_in_array(const Json& before, const Json& after) {
  const auto is_elsewhere = [&after](const Json& element) {
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
template <class Json>
std::optional<Misfit> find_misfit(const Json& before, const Json& after) {
  if (before.is_object() && after.is_object()) return find_misfit_in_object(before, after);
  if (before.is_array() && after.is_array()) return find_misfit_in_array(before, after);
  if (!is_misfit(before, after)) return std::nullopt;
  return Misfit{{}, before.dump()};
}

/// Refuses a value that its conversion to a user's type and back has changed.
template <class Json>
void check_misfits(std::size_t offset, const Json& before, const Json& after) {
  const auto misfit = find_misfit(before, after);
  if (!misfit) return;
  const std::string kind = misfit->value == "true" || misfit->value == "false" ? "boolean " : "number ";
  const std::string where = misfit->path.empty() ? std::string{} : " at " + misfit->path;
  throw ParseError{offset, kind + misfit->value + where + " does not fit its field"};
}

}}}  // namespace kvstore::v1::detail
