// SPDX-License-Identifier: MIT
#pragma once

// Converts between JSON text and a tree (`nlohmann::json`, or `nlohmann::ordered_json`, which keeps the order
// of keys). Stricter than nlohmann's own parser and serialiser: depth is bounded, and duplicate keys, NaN and
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

/// Builds trees from text, one in the memory of another where they are alike: what a tree costs is allocating
/// its parts.
template <class Json>
class DomReader {
 public:
  explicit DomReader(JsonReader& in) noexcept : in_{in} {}

  /// Makes `out`, whatever it was, the tree of the next value.
  void read(Json& out) {
    switch (in_.peek()) {
      case '"':
        return assign<typename Json::string_t>(out, Type::string, in_.string());
      case '{':
        return read_object(out);
      case '[':
        return read_array(out);
      case 'n':
        in_.null();
        out = nullptr;
        return;
      case 't':
      case 'f':
        may_change_ = true;
        return assign<typename Json::boolean_t>(out, Type::boolean, in_.boolean());
      default:
        return read_number(out);
    }
  }

  /// Whether the tree holds a number or boolean that a member of another type could change silently. Every
  /// type of number holds the integers from 0 to 127.
  [[nodiscard]] bool may_change() const noexcept { return may_change_; }

 private:
  using Object = typename Json::object_t;
  using Type = typename Json::value_t;

  template <class Value, class From>
  static void assign(Json& out, Type type, const From& value) {
    if (out.type() == type) {  // `get_ref` would take an unsigned number for a signed one
      out.template get_ref<Value&>() = value;
    } else {
      out = Json(Value{value});
    }
  }

  /// While members come in the order of the old tree, which is sorted as most texts are, they replace what
  /// was there. From the first on that does not, the rest is built anew.
  void read_object(Json& out) {
    if (!out.is_object()) out = Json::object();
    auto& members = out.template get_ref<Object&>();
    auto old = members.begin();
    in_.each_member([this, &members, &old](std::string_view name) {
      if (old != members.end() && old->first == name) return read((old++)->second);
      old = members.erase(old, members.end());
      const std::size_t offset = in_.position();
      read(add(members, name, offset));
      old = members.end();
    });
    members.erase(old, members.end());
  }

  static Json& add(Object& members, std::string_view name, std::size_t offset) {
    const std::size_t before = members.size();
    const auto added = [&members, name] {
      if constexpr (requires {
                      typename Object::key_compare;
                      members.emplace_hint(members.end(), name, nullptr);
                    }) {
        return members.emplace_hint(members.end(), name, nullptr);  // sorted texts need no search
      } else {
        return members.emplace(typename Object::key_type{name}, nullptr).first;
      }
    }();
    if (members.size() == before) {
      JsonReader::fail_at(offset, "expected no second value for the same key of an object");
    }
    return added->second;
  }

  void read_array(Json& out) {
    if (!out.is_array()) out = Json::array();
    auto& elements = out.template get_ref<typename Json::array_t&>();
    std::size_t count = 0;
    in_.each_element([this, &elements, &count] {
      if (count == elements.size()) elements.emplace_back();
      read(elements[count++]);
    });
    elements.resize(count);
  }

  /// As nlohmann does: unsigned where it is not negative, and a double where 64 bits are not enough.
  void read_number(Json& out) {
    const char first = in_.peek();
    if (first != '-' && (first < '0' || first > '9')) in_.fail("expected a value");
    const std::size_t offset = in_.position();
    const auto [text, is_integer] = in_.number_text();
    if (is_integer && first != '-') {
      const auto value = to_integer<std::uint64_t>(text);
      may_change_ = may_change_ || value > 127;
      if (value) return assign<typename Json::number_unsigned_t>(out, Type::number_unsigned, *value);
    }
    may_change_ = true;
    if (is_integer && first == '-') {
      if (const auto value = to_integer<std::int64_t>(text)) {
        return assign<typename Json::number_integer_t>(out, Type::number_integer, *value);
      }
    }
    const auto value = to_float<double>(text);
    if (!value) JsonReader::fail_at(offset, "expected a number in the range of a double");
    assign<typename Json::number_float_t>(out, Type::number_float, *value);
  }

  JsonReader& in_;
  bool may_change_ = false;
};

template <class Json>
[[nodiscard]] Json read_dom(JsonReader& in) {
  Json tree;
  DomReader<Json>{in}.read(tree);
  return tree;
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
