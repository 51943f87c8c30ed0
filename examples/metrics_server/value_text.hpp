// SPDX-License-Identifier: MIT
#pragma once

// Values are kept as their JSON text. A tree of numbers would round those that no double holds, and sort the
// members of objects: the next save would change values that nobody touched.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <kvstore/codec.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics_server {

/// Calls `fn` with each string, number, name or punctuation mark of a valid JSON text, without the space
/// between them.
template <class Fn>
void each_token(std::string_view json, const Fn& fn) {
  constexpr std::string_view kPunctuation = "{}[],:";
  constexpr std::string_view kSpace = " \t\r\n";
  for (std::size_t at = json.find_first_not_of(kSpace); at < json.size();) {
    std::size_t end = at + 1;
    if (json[at] == '"') {
      for (; json[end] != '"'; ++end) {
        if (json[end] == '\\') ++end;
      }
      ++end;
    } else if (kPunctuation.find(json[at]) == std::string_view::npos) {
      end = std::min(json.find_first_of("{}[],: \t\r\n", at), json.size());
    }
    fn(json.substr(at, end - at));
    at = json.find_first_not_of(kSpace, end);
  }
}

/// The same tokens without space.
[[nodiscard]] inline std::string compacted(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  each_token(json, [&](std::string_view token) { out += token; });
  return out;
}

/// The same tokens, one member or element a line. Where that would take many times the room, since values are
/// small and deep in others, they stay as they are.
[[nodiscard]] inline std::string indented(std::string_view json) {
  constexpr std::size_t kSmall = std::size_t{1} << 20;
  const std::size_t most = std::max(kSmall, 4 * json.size());
  std::string out;
  std::size_t depth = 0;
  bool opened = false;
  const auto new_line = [&] { out.append("\n").append(2 * depth, ' '); };
  each_token(json, [&](std::string_view token) {
    if (out.size() > most) return;
    const bool closes = token == "}" || token == "]";
    if (closes) --depth;
    if (opened != closes) new_line();  // between brackets that hold nothing there is none
    out += token;
    opened = token == "{" || token == "[";
    if (opened) ++depth;
    if (token == ",") new_line();
    if (token == ":") out += ' ';
  });
  return out.size() > most ? std::string{json} : out;
}

namespace detail {

/// Names are sorted, never hashed: clients choose them, and know the hash of the standard library.
/// Stricter than the grammar: no duplicate keys, no number that every other reader would take for infinity.
inline void check_value(kvstore::JsonReader& in) {
  const char first = in.peek();
  if (first == '{') {
    std::set<std::string, std::less<>> names;
    in.each_member([&](std::string_view name) {
      if (!names.emplace(name).second)
        kvstore::JsonReader::fail_at(in.position(), "expected no key twice in one object");
      check_value(in);
    });
  } else if (first == '[') {
    in.each_element([&] { check_value(in); });
  } else if (first == '-' || (first >= '0' && first <= '9')) {
    static_cast<void>(in.number<double>());
  } else {
    in.skip_value();
  }
}

}  // namespace detail

/// The text of one value as it is stored. @throws kvstore::ParseError unless it is strict JSON
[[nodiscard]] inline std::string checked_value(std::string_view json) {
  kvstore::JsonReader in{json};
  detail::check_value(in);
  in.finish();
  return compacted(json);
}

/// An object taken apart, in the order of its members; their values are views of its text.
struct Members {
  std::vector<std::pair<std::string, std::string_view>> all;

  explicit Members(std::string_view json) {
    kvstore::JsonReader in{json};
    if (in.peek() != '{') return;
    in.each_member([&](std::string_view name) {
      std::string own{name};
      all.emplace_back(std::move(own), in.skip_value());
    });
  }
};

/// A merge patch, taken apart once: a patch that is read anew at each depth would take its depth times as
/// long.
struct Patch {
  std::string_view text;  ///< of a value that is no object
  bool is_object = false;
  std::vector<std::string> names;  ///< in their order
  std::vector<Patch> values;

  explicit Patch(kvstore::JsonReader& in) : is_object{in.peek() == '{'} {
    if (!is_object) {
      text = in.skip_value();
      return;
    }
    in.each_member([&](std::string_view name) {
      names.emplace_back(name);
      values.emplace_back(in);
    });
  }
  [[nodiscard]] bool removes() const { return !is_object && text == "null"; }
};

namespace detail {

/// Appends the value that `old` comes to, or none, as `patch` changes it.
inline void merge(kvstore::JsonReader* old, const Patch& patch, kvstore::JsonWriter& out) {
  const bool both = patch.is_object && old != nullptr && old->peek() == '{';
  if (old != nullptr && !both) static_cast<void>(old->skip_value());
  if (!patch.is_object) return out.raw(patch.text);
  std::map<std::string_view, const Patch*> left;
  for (std::size_t i = 0; i < patch.names.size(); ++i) left.emplace(patch.names[i], &patch.values[i]);

  char separator = '{';
  const auto add = [&](std::string_view name) {
    out.raw(std::exchange(separator, ','));
    out.string(name);
    out.raw(':');
  };
  const auto replace = [&](std::string_view name) {
    const auto found = left.find(name);
    if (found == left.end()) {
      add(name);
      return out.raw(old->skip_value());
    }
    const Patch& change = *found->second;
    left.erase(found);
    if (change.removes()) return static_cast<void>(old->skip_value());
    add(name);
    merge(old, change, out);
  };
  if (both) old->each_member(replace);
  for (std::size_t i = 0; i < patch.names.size(); ++i) {
    if (patch.values[i].removes() || !left.contains(patch.names[i])) continue;
    add(patch.names[i]);
    merge(nullptr, patch.values[i], out);
  }
  out.raw(separator == '{' ? std::string_view{"{}"} : std::string_view{"}"});
}

}  // namespace detail

/// RFC 7396: members that the patch does not name keep their text and place. Takes time in proportion to both
/// texts.
[[nodiscard]] inline std::string merged(std::string_view target, const Patch& patch) {
  kvstore::JsonReader old{target};
  kvstore::JsonWriter out;
  detail::merge(&old, patch, out);
  return std::string{out.text()};
}

/// A value of the store: one line of valid JSON.
struct ValueText {
  std::string text;
  friend bool operator==(const ValueText&, const ValueText&) = default;
};

}  // namespace metrics_server

/// A file that a person wrote may have a value on several lines; storages need it on one.
template <>
struct kvstore::Codec<metrics_server::ValueText> {
  static void encode(const metrics_server::ValueText& value, kvstore::JsonWriter& out) {
    out.raw(value.text);
  }
  static metrics_server::ValueText decode(kvstore::JsonReader& in) {
    const std::string_view text = in.skip_value();
    const bool one_line = text.find_first_of("\r\n") == std::string_view::npos;
    return {one_line ? std::string{text} : metrics_server::compacted(text)};
  }
};
