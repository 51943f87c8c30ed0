// SPDX-License-Identifier: MIT
#pragma once

// Converts between JSON text and a tree (`nlohmann::json`, or `nlohmann::ordered_json`, which keeps the order
// of keys). Stricter than nlohmann's own parser and serialiser: depth is bounded, and duplicate keys, NaN and
// infinity are refused rather than dropped or written as null. Everything is a template, so programs that
// store no trees need not include nlohmann/json.hpp.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/shallow_stack.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

[[noreturn]] inline void throw_too_wide(std::size_t offset, std::string_view text) {
  constexpr std::size_t kMost = 40;
  const std::string shown{text.substr(0, kMost)};
  JsonReader::fail_at(offset, "expected an integer of at most 64 bits, which a tree keeps; it would round " +
                                  shown + (text.size() > kMost ? "..." : "") +
                                  " to a double: set round_numbers in the options to allow that");
}

/// Builds trees from text, and reuses the memory of the old tree where the new one is alike: the cost of a
/// tree is the allocation of its parts. Works without recursion, which would take stack for each level of
/// nesting.
template <class Json>
class DomReader {
 public:
  /// `rounds`: an integer beyond 64 bits becomes the nearest double.
  explicit DomReader(JsonReader& in, bool rounds = false) noexcept : in_{in}, rounds_{rounds} {}

  /// Replaces `out` by the tree of the next value.
  void read(Json& out) {
    for (Json* place = &out; place != nullptr; place = next_place()) read_one(*place);
  }

  /// Whether the tree holds a number or boolean that could change silently when it is converted to a member
  /// of another type. Every type of number holds the integers from 0 to 127.
  [[nodiscard]] bool may_change() const noexcept { return may_change_; }

 private:
  using Object = typename Json::object_t;
  using Array = typename Json::array_t;
  using Type = typename Json::value_t;

  /// An array or object that is being read.
  struct Level {
    Json* tree = nullptr;
    std::size_t count = 0;            // elements or members read
    typename Object::iterator old{};  // the first member of the old tree that is not read over
  };

  /// Reads a scalar, or enters an array or object.
  void read_one(Json& out) {
    switch (in_.peek()) {
      case '"':
        return assign<typename Json::string_t>(out, Type::string, in_.string());
      case '{':
        return enter_object(out);
      case '[':
        return enter_array(out);
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

  void enter_object(Json& out) {
    in_.expect('{');
    in_.enter();
    if (!out.is_object()) out = Json::object();
    levels_.push({&out, 0, out.template get_ref<Object&>().begin()});
  }

  void enter_array(Json& out) {
    in_.expect('[');
    in_.enter();
    if (!out.is_array()) out = Json::array();
    levels_.push({&out});
  }

  /// The place of the next value; leaves arrays and objects that end before it. Null at the end of the tree.
  Json* next_place() {
    while (!levels_.empty()) {
      Level& level = levels_.top();
      Json* const place = level.tree->is_object() ? next_member(level) : next_element(level);
      if (place != nullptr) return place;
      in_.leave();
      levels_.pop();
    }
    return nullptr;
  }

  template <class Value, class From>
  static void assign(Json& out, Type type, const From& value) {
    if (out.type() == type) {  // `get_ref` would take an unsigned number for a signed one
      out.template get_ref<Value&>() = value;
    } else {
      out = Json(Value{value});
    }
  }

  /// While members come in the order of the old tree, which is sorted, as most texts are, they overwrite the
  /// old members. From the first member out of order on, the rest is built anew.
  Json* next_member(Level& level) {
    auto& members = level.tree->template get_ref<Object&>();
    if (in_.try_consume('}')) {
      members.erase(level.old, members.end());
      return nullptr;
    }
    separate(level, "expected ',' or '}'");
    const std::string_view name = in_.string();
    in_.expect(':');
    if (level.old != members.end() && level.old->first == name) return &(level.old++)->second;
    members.erase(level.old, members.end());
    Json& added = add(members, name, in_.position());
    level.old = members.end();
    return &added;
  }

  Json* next_element(Level& level) {
    auto& elements = level.tree->template get_ref<Array&>();
    if (in_.try_consume(']')) {
      elements.resize(level.count);
      return nullptr;
    }
    const std::size_t index = level.count;
    separate(level, "expected ',' or ']'");
    if (index == elements.size()) elements.emplace_back();
    return &elements[index];
  }

  /// Reads the comma before each element but the first.
  void separate(Level& level, const char* expected) {
    if (level.count++ != 0 && !in_.try_consume(',')) in_.fail(expected);
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

  /// As nlohmann does: unsigned if it is not negative. Unlike nlohmann, -0 is a double, since no integer
  /// keeps the sign, and an integer beyond 64 bits is rounded to a double only if the reader may round.
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
    if (text == "-0")
      return assign<typename Json::number_float_t>(out, Type::number_float, zero<double>(true));
    if (is_integer && first == '-') {
      if (const auto value = to_integer<std::int64_t>(text)) {
        return assign<typename Json::number_integer_t>(out, Type::number_integer, *value);
      }
    }
    if (is_integer && !rounds_) throw_too_wide(offset, text);
    const auto value = to_float<double>(text);
    if (!value) JsonReader::fail_at(offset, "expected a number in the range of a double");
    assign<typename Json::number_float_t>(out, Type::number_float, *value);
  }

  JsonReader& in_;
  bool rounds_;
  ShallowStack<Level> levels_;
  bool may_change_ = false;
};

template <class Json>
[[nodiscard]] Json read_dom(JsonReader& in) {
  Json tree;
  DomReader<Json>{in, in.rounds_numbers()}.read(tree);
  return tree;
}

[[noreturn]] inline void throw_unwritable_dom() {
  throw ValueError{"JSON text cannot hold a binary or discarded nlohmann::json; encode it as text first"};
}

/// Shows a tree to `visitor`, part by part in the order of the text: `scalar(value)`, `enter(container)`,
/// `element(is_first)`, `member(key, is_first)`, `leave(container, is_empty)`. Works without recursion, as
/// `DomReader` does.
template <class Json, class Visitor>
class DomWalk {
 public:
  explicit DomWalk(Visitor& visitor) noexcept : visitor_{visitor} {}

  void run(const Json& tree) {
    if (!tree.is_structured()) return visitor_.scalar(tree);
    for (const Json* container = &tree; container != nullptr; container = next_container()) enter(*container);
  }

 private:
  using Object = typename Json::object_t;
  using Array = typename Json::array_t;

  using Member = typename Object::const_iterator;

  /// The rest of an array or object.
  struct Level {
    const Json* tree;
    const Json* element;
    const Json* last_element;
    Member member;
    Member last_member;
    bool is_first;
  };

  void enter(const Json& container) {
    visitor_.enter(container);
    Level level{&container, nullptr, nullptr, {}, {}, true};
    if (container.is_object()) {
      const auto& members = container.template get_ref<const Object&>();
      level.member = members.begin();
      level.last_member = members.end();
    } else {
      const auto& elements = container.template get_ref<const Array&>();
      level.element = elements.data();
      level.last_element = elements.data() + elements.size();
    }
    levels_.push(level);
  }

  /// The next array or object; shows the scalars before it, and leaves the containers that end before it.
  /// Null at the end of the tree.
  const Json* next_container() {
    while (!levels_.empty()) {
      Level& level = levels_.top();
      const Json* const part = level.tree->is_object() ? show_members(level) : show_elements(level);
      if (part != nullptr) return part;
      visitor_.leave(*level.tree, level.is_first);
      levels_.pop();
    }
    return nullptr;
  }

  const Json* show_elements(Level& level) {
    while (level.element != level.last_element) {
      visitor_.element(std::exchange(level.is_first, false));
      const Json& part = *level.element++;
      if (part.is_structured()) return &part;
      visitor_.scalar(part);
    }
    return nullptr;
  }

  const Json* show_members(Level& level) {
    while (level.member != level.last_member) {
      const auto& [key, part] = *level.member++;
      visitor_.member(key, std::exchange(level.is_first, false));
      if (part.is_structured()) return &part;
      visitor_.scalar(part);
    }
    return nullptr;
  }

  Visitor& visitor_;
  ShallowStack<Level> levels_;
};

template <class Json>
class DomWriter {
 public:
  explicit DomWriter(JsonWriter& out) noexcept : out_{out} {}
  DomWriter(const DomWriter&) = delete;
  DomWriter& operator=(const DomWriter&) = delete;
  ~DomWriter() {
    for (; entered_ != 0; --entered_) out_.leave();  // after a value that could not be written
  }

  void enter(const Json&) {
    out_.enter();
    ++entered_;
  }
  void element(bool is_first) { out_.raw(is_first ? '[' : ','); }
  void member(const std::string& key, bool is_first) {
    out_.raw(is_first ? '{' : ',');
    out_.string(key);
    out_.raw(':');
  }
  void leave(const Json& container, bool is_empty) {
    if (is_empty) out_.raw(container.is_object() ? '{' : '[');
    out_.raw(container.is_object() ? '}' : ']');
    out_.leave();
    --entered_;
  }

  void scalar(const Json& value) {
    using value_t = typename Json::value_t;
    switch (value.type()) {
      case value_t::null:
        return out_.null();
      case value_t::boolean:
        return out_.boolean(value.template get_ref<const bool&>());
      case value_t::string:
        return out_.string(value.template get_ref<const std::string&>());
      case value_t::number_integer:
        return out_.integer(value.template get_ref<const std::int64_t&>());
      case value_t::number_unsigned:
        return out_.integer(value.template get_ref<const std::uint64_t&>());
      case value_t::number_float:
        return out_.number(value.template get_ref<const double&>());
      default:
        throw_unwritable_dom();
    }
  }

 private:
  JsonWriter& out_;
  int entered_ = 0;
};

/// Writes a tree. @throws ValueError for a value that could not be read back.
template <class Json>
void write_dom(const Json& value, JsonWriter& out) {
  DomWriter<Json> writer{out};
  DomWalk<Json, DomWriter<Json>>{writer}.run(value);
}

template <class Json>
class DomChecker {
 public:
  void enter(const Json&) {
    if (depth_ == kMaxDepth) throw_too_deep();
    ++depth_;
  }
  void leave(const Json&, bool) noexcept { --depth_; }
  void element(bool) noexcept {}
  void member(const std::string& key, bool) { check_utf8(key); }
  void scalar(const Json& value) {
    if (value.is_binary() || value.is_discarded()) throw_unwritable_dom();
    if (value.is_string()) return check_utf8(value.template get_ref<const std::string&>());
    if (value.is_number_float()) return check_finite(value.template get_ref<const double&>());
  }

 private:
  int depth_ = 0;
};

/// Refuses every tree that `write_dom` would refuse, at less cost.
template <class Json>
void check_dom(const Json& value) {
  DomChecker<Json> checker;
  DomWalk<Json, DomChecker<Json>>{checker}.run(value);
}

}}}  // namespace kvstore::v1::detail
