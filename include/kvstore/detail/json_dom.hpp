// SPDX-License-Identifier: MIT
#pragma once

// Converts between JSON text and a tree (`nlohmann::json`, or `nlohmann::ordered_json`, which keeps the order
// of keys). Stricter than nlohmann's own parser and serializer: depth is bounded, and duplicate keys, NaN and
// infinity are refused rather than dropped or written as null.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "kvstore/detail/json_depth.hpp"
#include "kvstore/detail/json_number.hpp"
#include "kvstore/detail/json_reader.hpp"
#include "kvstore/detail/json_writer.hpp"
#include "kvstore/detail/utf8.hpp"
#include "kvstore/error.hpp"

namespace kvstore::inline v0::detail {

/// Builds a tree from text.
template <class Json>
class DomReader {
 public:
  explicit DomReader(JsonReader& in) noexcept : in_{in} {}

  [[nodiscard]] Json read() {
    switch (in_.peek()) {
      case '"':
        return Json(typename Json::string_t{in_.string()});
      case '{':
        return read_object();
      case '[':
        return read_array();
      case 'n':
        return in_.null(), Json(nullptr);
      case 't':
      case 'f':
        may_change_ = true;
        return Json(in_.boolean());
      default:
        return read_number();
    }
  }

  /// Whether the tree holds a number or boolean that a member of another type could change silently. Every
  /// type of number holds the integers from 0 to 127.
  [[nodiscard]] bool may_change() const noexcept { return may_change_; }

 private:
  Json read_object() {
    Json out = Json::object();
    auto& members = out.template get_ref<typename Json::object_t&>();
    in_.each_member([this, &members](std::string_view key) {
      const std::size_t offset = in_.position();
      typename Json::string_t name{key};
      Json value = read();
      if (!members.emplace(std::move(name), std::move(value)).second) {
        JsonReader::fail_at(offset, "expected no second value for the same key of an object");
      }
    });
    return out;
  }

  Json read_array() {
    Json out = Json::array();
    auto& elements = out.template get_ref<typename Json::array_t&>();
    in_.each_element([this, &elements] { elements.push_back(read()); });
    return out;
  }

  /// As nlohmann does: unsigned where it is not negative, and a double where 64 bits are not enough.
  Json read_number() {
    const char first = in_.peek();
    if (first != '-' && (first < '0' || first > '9')) in_.fail("expected a value");
    const std::size_t offset = in_.position();
    const auto [text, is_integer] = in_.number_text();
    if (is_integer && first != '-') {
      const auto value = to_integer<std::uint64_t>(text);
      may_change_ = may_change_ || value > 127;
      if (value) return Json(*value);
    }
    may_change_ = true;
    if (is_integer && first == '-') {
      if (const auto value = to_integer<std::int64_t>(text)) return Json(*value);
    }
    const auto value = to_float<double>(text);
    if (!value) JsonReader::fail_at(offset, "expected a number in the range of a double");
    return Json(*value);
  }

  JsonReader& in_;
  bool may_change_ = false;
};

template <class Json>
[[nodiscard]] Json read_dom(JsonReader& in) {
  return DomReader<Json>{in}.read();
}

[[noreturn]] inline void throw_unwritable_dom() {
  throw ValueError{"JSON text cannot hold a binary or discarded nlohmann::json; encode it as text first"};
}

template <class Json>
void write_dom(const Json& value, JsonWriter& out);

template <class Json>
void write_dom_array(const Json& array, JsonWriter& out) {
  const Nested depth{out};
  char before = '[';
  if (array.empty()) out.raw(before);
  for (const Json& element : array.template get_ref<const typename Json::array_t&>()) {
    out.raw(std::exchange(before, ','));
    write_dom(element, out);
  }
  out.raw(']');
}

template <class Json>
void write_dom_object(const Json& object, JsonWriter& out) {
  const Nested depth{out};
  char before = '{';
  if (object.empty()) out.raw(before);
  for (const auto& [key, value] : object.template get_ref<const typename Json::object_t&>()) {
    out.raw(std::exchange(before, ','));
    out.string(key);
    out.raw(':');
    write_dom(value, out);
  }
  out.raw('}');
}

/// Writes a tree.
/// @throws ValueError for what could not be read back.
template <class Json>
void write_dom(const Json& value, JsonWriter& out) {
  using value_t = typename Json::value_t;
  switch (value.type()) {
    case value_t::null:
      return out.null();
    case value_t::boolean:
      return out.boolean(value.template get_ref<const bool&>());
    case value_t::string:
      return out.string(value.template get_ref<const std::string&>());
    case value_t::number_integer:
      return out.integer(value.template get_ref<const std::int64_t&>());
    case value_t::number_unsigned:
      return out.integer(value.template get_ref<const std::uint64_t&>());
    case value_t::number_float:
      return out.number(value.template get_ref<const double&>());
    case value_t::array:
      return write_dom_array(value, out);
    case value_t::object:
      return write_dom_object(value, out);
    case value_t::binary:
    case value_t::discarded:
      break;
  }
  throw_unwritable_dom();
}

/// Refuses what `write_dom` would refuse, at less cost.
template <class Json>
void check_dom(const Json& value, int depth = 0) {
  if (value.is_structured() && depth == kMaxDepth) throw_too_deep();
  if (value.is_binary() || value.is_discarded()) throw_unwritable_dom();
  if (value.is_string()) return check_utf8(value.template get_ref<const std::string&>());
  if (value.is_number_float()) return check_finite(value.template get_ref<const double&>());
  if (value.is_array()) {
    for (const Json& element : value) check_dom(element, depth + 1);
  }
  if (!value.is_object()) return;
  for (const auto& [key, member] : value.template get_ref<const typename Json::object_t&>()) {
    check_utf8(key);
    check_dom(member, depth + 1);
  }
}

}  // namespace kvstore::inline v0::detail
