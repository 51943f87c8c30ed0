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
  EntriesApi(Store& store, ChangeGate& gate) : store_{store}, gate_{gate} {}

  void get(const std::string& key, bool pretty, const Request& request, Response& response) const {
    const std::optional<ValueText> value = store_.try_read(key);
    if (!value) throw_missing(key);
    const std::string tag = tag_of(value->text);
    response.set_header("ETag", tag);
    if (names(request.header("If-None-Match"), tag)) {
      response.status = 304;
      return;
    }
    response.set_content(pretty ? indented(value->text) : value->text, "application/json");
  }

  /// POST: the body names the key.
  void create(const std::string& body, Response& response) {
    NewEntry entry = parse_entry(body);
    const std::string tag = tag_of(entry.value.text);
    const auto entered = gate_.enter();
    store_.create(entry.key, std::move(entry.value));
    set_created(entry.key, tag, response);
  }

  /// PUT: adds or replaces; with If-Match replaces only what is named, with If-None-Match: * adds only.
  void put(const std::string& key, const Request& request, const std::string& body, Response& response) {
    ValueText value{parse_body(body)};
    const std::string tag = tag_of(value.text);
    const auto entered = gate_.enter();
    bool added = false;
    if (request.has_header("If-None-Match")) {
      if (request.header("If-None-Match") != "*")
        throw Refusal{400, "If-None-Match is * here: add the entry if there is none"};
      added = store_.try_create(key, std::move(value));
      if (!added) throw_changed(key);
    } else if (request.has_header("If-Match")) {
      replace_if(key, request.header("If-Match"), [&](const ValueText&) { return value; });
    } else {
      added = store_.upsert(key, std::move(value));
    }
    if (added) return set_created(key, tag, response);
    set_changed(tag, response);
  }

  /// PATCH: an existing value only, by a JSON merge patch (RFC 7396).
  void patch(const std::string& key, const Request& request, const std::string& body, Response& response) {
    const std::string changes = parse_body(body);
    std::string tag;
    const auto apply = [&](const ValueText& value) {
      ValueText made{merged(value.text, changes)};
      tag = tag_of(made.text);
      return made;
    };
    const auto entered = gate_.enter();
    if (request.has_header("If-Match"))
      replace_if(key, request.header("If-Match"), apply);
    else if (!store_.modify(key, [&](ValueText& value) { value = apply(value); }))
      throw_missing(key);
    set_changed(tag, response);
  }

  /// DELETE: with If-Match removes only what is named.
  void remove(const std::string& key, const Request& request, Response& response) {
    if (request.has_header("If-Match"))
      remove_if(key, request.header("If-Match"));
    else if (const auto entered = gate_.enter(); !store_.try_remove(key))
      throw_missing(key);
    response.status = 204;
  }

 private:
  void remove_if(const std::string& key, const std::string& expected) {
    const auto alone = gate_.enter_alone();
    const std::optional<ValueText> current = store_.try_read(key);
    if (!current || !names(expected, tag_of(current->text))) throw_changed(key);
    if (!store_.try_remove(key)) throw_changed(key);
  }

  /// Between reading and writing anybody may come: then the value is no longer the expected one.
  template <class Change>
  void replace_if(const std::string& key, const std::string& expected, const Change& change) {
    const std::optional<ValueText> current = store_.try_read(key);
    if (!current || !names(expected, tag_of(current->text))) throw_changed(key);
    if (!store_.compare_exchange(key, *current, change(*current))) throw_changed(key);
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
  ChangeGate& gate_;
};

}  // namespace metrics_server
