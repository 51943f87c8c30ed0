// SPDX-License-Identifier: MIT
#pragma once

// One entry: read, created, replaced, patched, removed.

#include <httplib.h>

#include <kvstore/codec.hpp>
#include <kvstore/error.hpp>
#include <kvstore/key_text.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "entity_tag.hpp"
#include "problem.hpp"
#include "store.hpp"
#include "target.hpp"

namespace metrics_server {

/// Strict, as the store is itself when it loads: no duplicate keys, no number that does not fit.
[[nodiscard]] inline nlohmann::json parse_body(const std::string& body) {
  try {
    kvstore::JsonReader in{body};
    auto value = kvstore::Codec<nlohmann::json>::decode(in);
    in.finish();
    return value;
  } catch (const kvstore::ParseError& error) {
    throw Refusal{400, "the body is no JSON: byte " + std::to_string(error.offset()) + ": " + error.what()};
  }
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
  using Request = httplib::Request;
  using Response = httplib::Response;

 public:
  explicit EntriesApi(Store& store) : store_{store} {}

  void get(const std::string& key, bool pretty, const Request& request, Response& response) const {
    const std::optional<nlohmann::json> value = store_.try_read(key);
    if (!value) throw_missing(key);
    const std::string tag = tag_of(*value);
    response.set_header("ETag", tag);
    if (names(request.get_header_value("If-None-Match"), tag)) {
      response.status = 304;
      return;
    }
    response.set_content(value->dump(pretty ? 2 : -1), "application/json");
  }

  /// POST: the body names the key.
  void create(const std::string& body, Response& response) {
    nlohmann::json entry = parse_body(body);
    if (!entry.is_object() || entry.size() != 2 || !entry.contains("value") || !entry.contains("key") ||
        !entry["key"].is_string()) {
      throw Refusal{400, R"(an entry is {"key": "a string", "value": any JSON}, and nothing else)"};
    }
    const auto key = entry["key"].get<std::string>();
    const std::string tag = tag_of(entry["value"]);
    store_.create(key, std::move(entry["value"]));
    set_created(key, tag, response);
  }

  /// PUT: adds or replaces; with If-Match replaces only what is named, with If-None-Match: * adds only.
  void put(const std::string& key, const Request& request, const std::string& body, Response& response) {
    nlohmann::json value = parse_body(body);
    const std::string tag = tag_of(value);
    bool added = false;
    if (request.has_header("If-None-Match")) {
      if (request.get_header_value("If-None-Match") != "*")
        throw Refusal{400, "If-None-Match is * here: add the entry if there is none"};
      added = store_.try_create(key, std::move(value));
      if (!added) throw_changed(key);
    } else if (request.has_header("If-Match")) {
      replace_if(key, request.get_header_value("If-Match"), [&](const nlohmann::json&) { return value; });
    } else {
      added = store_.upsert(key, std::move(value));
    }
    if (added) return set_created(key, tag, response);
    set_changed(tag, response);
  }

  /// PATCH: an existing value only, by a JSON merge patch (RFC 7396).
  void patch(const std::string& key, const Request& request, const std::string& body, Response& response) {
    const nlohmann::json changes = parse_body(body);
    std::string tag;
    const auto apply = [&](nlohmann::json value) {
      value.merge_patch(changes);
      tag = tag_of(value);
      return value;
    };
    if (request.has_header("If-Match"))
      replace_if(key, request.get_header_value("If-Match"), apply);
    else if (!store_.modify(key, [&](nlohmann::json& value) { value = apply(std::move(value)); }))
      throw_missing(key);
    set_changed(tag, response);
  }

  void remove(const std::string& key, const Request& request, Response& response) {
    if (request.has_header("If-Match"))
      throw Refusal{501, "DELETE knows no If-Match: the store has no such step"};
    if (!store_.try_remove(key)) throw_missing(key);
    response.status = 204;
  }

 private:
  /// Between reading and writing anybody may come: then the value is no longer the expected one.
  template <class Change>
  void replace_if(const std::string& key, const std::string& expected, const Change& change) {
    const std::optional<nlohmann::json> current = store_.try_read(key);
    if (!current || !names(expected, tag_of(*current))) throw_changed(key);
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
};

}  // namespace metrics_server
