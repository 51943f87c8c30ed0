// SPDX-License-Identifier: MIT
#pragma once

// One entry: read, created, replaced, patched, removed.

#include <kvstore/codec.hpp>
#include <kvstore/error.hpp>
#include <kvstore/key_text.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "conditions.hpp"
#include "entity_tag.hpp"
#include "exchange.hpp"
#include "problem.hpp"
#include "store.hpp"
#include "target.hpp"
#include "value_text.hpp"

namespace metrics_server {

[[nodiscard]] inline std::string parse_body(std::string_view body) {
  try {
    return checked_value(body);
  } catch (const kvstore::ParseError& error) {
    throw Refusal{400, "the body is no JSON: byte " + std::to_string(error.offset()) + ": " + error.what()};
  }
}

struct NewEntry {
  std::string key;
  ValueText value;
};

[[nodiscard]] inline NewEntry parse_entry(std::string_view body) {
  const std::string text = parse_body(body);
  std::optional<std::string> key;
  std::optional<ValueText> value;
  const Members members{text};
  for (const auto& [name, member] : members.all) {
    if (name == "key" && member.starts_with('"')) key = kvstore::JsonReader{member}.string();
    if (name == "value") value = ValueText{std::string{member}};
  }
  if (key && key->size() > kMaxKey) throw Refusal{422, too_long_key()};
  if (members.all.size() == 2 && key && value) return {std::move(*key), std::move(*value)};
  throw Refusal{400, R"(an entry is {"key": "a string", "value": any JSON}, and nothing else)"};
}

[[nodiscard]] inline std::string shown(const std::string& key) {
  return kvstore::KeyText<std::string>::for_message(key);
}

[[noreturn]] inline void throw_missing(const std::string& key) {
  throw Refusal{404, "there is no entry with the key " + shown(key)};
}

[[noreturn]] inline void throw_changed(const std::string& key) {
  throw Refusal{412,
                "the entry with the key " + shown(key) + " is not as the request expects it: read it again"};
}

class EntriesApi {
 public:
  explicit EntriesApi(Store& store) : store_{store} {}

  void get(const std::string& key, bool pretty, const Request& request, Response& response) const {
    const std::optional<ValueText> value = store_.try_read(key);
    if (!value) throw_missing(key);
    const Conditions conditions{request};
    const std::string tag = tag_of(value->text);
    if (!conditions.matches(&tag)) throw_changed(key);
    response.set_header("ETag", tag);
    if (conditions.is_known(tag)) {
      response.status = 304;
      return;
    }
    response.set_content(pretty ? indented(value->text) : value->text, "application/json");
  }

  /// POST: the body names the key.
  void create(const std::string& body, Response& response) {
    NewEntry entry = parse_entry(body);
    const std::string tag = tag_of(entry.value.text);
    store_.create(entry.key, std::move(entry.value));
    set_created(entry.key, tag, response);
  }

  /// PUT: adds or replaces; with If-Match replaces only what is named, with If-None-Match: * adds only.
  void put(const std::string& key, const Request& request, const std::string& body, Response& response) {
    ValueText value{parse_body(body)};
    const std::string tag = tag_of(value.text);
    const Conditions conditions{request};
    const bool added =
        conditions.any() ? put_if(key, conditions, value) : store_.upsert(key, std::move(value));
    if (added) return set_created(key, tag, response);
    set_changed(tag, response);
  }

  /// PATCH: an existing value only, by a JSON merge patch (RFC 7396).
  void patch(const std::string& key, const Request& request, const std::string& body, Response& response) {
    const std::string changes = parse_body(body);
    kvstore::JsonReader in{changes};
    const Patch patch{in};
    const std::string made = patch_if(key, Conditions{request}, patch);
    set_changed(tag_of(made), response);
  }

  /// DELETE: with If-Match removes only what is named.
  void remove(const std::string& key, const Request& request, Response& response) {
    const Conditions conditions{request};
    if (conditions.any())
      remove_if(key, conditions);
    else if (!store_.try_remove(key))
      throw_missing(key);
    response.status = 204;
  }

 private:
  /// A change is worked out without a lock, and then made if nobody came between. Who has lost so many races
  /// works it out where nobody can come: the segment's other entries wait meanwhile.
  static constexpr int kRaces = 16;

  /// @returns whether the entry is new
  [[nodiscard]] bool put_if(const std::string& key, const Conditions& conditions, const ValueText& value) {
    for (int race = 0; race < kRaces; ++race) {
      const std::optional<ValueText> current = store_.try_read(key);
      check(conditions, key, current);
      if (current ? store_.compare_exchange(key, *current, value) : store_.try_create(key, value))
        return !current;
    }
    const bool there = store_.modify(key, [&](ValueText& current) {
      if (!conditions.hold(&current.text)) throw_changed(key);
      current = value;
    });
    if (!there) throw_changed(key);
    return false;
  }

  /// @returns the new value
  [[nodiscard]] std::string patch_if(const std::string& key, const Conditions& conditions,
                                     const Patch& patch) {
    for (int race = 0; race < kRaces; ++race) {
      const std::optional<ValueText> current = store_.try_read(key);
      check(conditions, key, current);
      if (!current) throw_missing(key);
      ValueText made{merged(current->text, patch)};
      if (store_.compare_exchange(key, *current, made)) return std::move(made.text);
    }
    std::string made;
    const bool there = store_.modify(key, [&](ValueText& current) {
      if (!conditions.hold(&current.text)) throw_changed(key);
      made = merged(current.text, patch);
      current.text = made;
    });
    if (!there) throw_missing(key);
    return made;
  }

  void remove_if(const std::string& key, const Conditions& conditions) {
    for (int race = 0; race < kRaces; ++race) {
      const std::optional<ValueText> current = store_.try_read(key);
      check(conditions, key, current);
      if (!current) throw_missing(key);
      if (store_.remove_if(key, [&](const ValueText& value) { return value == *current; })) return;
    }
    const bool removed =
        store_.remove_if(key, [&](const ValueText& value) { return conditions.hold(&value.text); });
    if (!removed) throw_changed(key);
  }

  static void check(const Conditions& conditions, const std::string& key,
                    const std::optional<ValueText>& current) {
    if (!conditions.hold(current ? &current->text : nullptr)) throw_changed(key);
  }

  static void set_created(const std::string& key, const std::string& tag, Response& response) {
    response.status = 201;
    response.set_header("Location", path_of(key));
    response.set_header("ETag", tag);
  }
  static void set_changed(const std::string& tag, Response& response) {
    response.status = 204;
    response.set_header("ETag", tag);
  }

  Store& store_;
};

}  // namespace metrics_server
