// SPDX-License-Identifier: MIT
#pragma once

// Which request goes where.

#include <algorithm>
#include <boost/beast/http/verb.hpp>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "entries_api.hpp"
#include "exchange.hpp"
#include "export.hpp"
#include "guard.hpp"
#include "listing.hpp"
#include "metrics_api.hpp"
#include "page_files.hpp"
#include "problem.hpp"
#include "target.hpp"
#include "workers.hpp"

namespace metrics_server {

namespace http = boost::beast::http;

/// What a path names.
enum class Resource { page, health, metrics, metrics_json, entries, entry, all };

/// What can be done with it; GET stands for HEAD too.
[[nodiscard]] inline std::string_view methods_of(Resource resource) {
  switch (resource) {
    case Resource::entries:
      return "GET, HEAD, POST";
    case Resource::entry:
      return "GET, HEAD, PUT, PATCH, DELETE";
    default:
      return "GET, HEAD";
  }
}

[[nodiscard]] inline Work work_for(Resource resource, std::string_view method) {
  switch (resource) {
    case Resource::page:
    case Resource::health:
      return Work::none;
    case Resource::metrics:
    case Resource::metrics_json:
      return Work::figures;
    case Resource::entries:
      return method == "POST" ? Work::entry : Work::list;
    case Resource::all:
      return Work::list;
    default:
      return Work::entry;
  }
}

[[nodiscard]] inline bool allows(std::string_view methods, std::string_view method) {
  while (!methods.empty()) {
    const std::size_t end = std::min(methods.find(", "), methods.size());
    if (methods.substr(0, end) == method) return true;
    methods.remove_prefix(std::min(end + 2, methods.size()));
  }
  return false;
}

class Routes {
 public:
  Routes(Guard guard, EntriesApi& entries, const Store& store, const MetricsApi& metrics, bool read_only)
      : guard_{std::move(guard)},
        entries_{entries},
        store_{store},
        metrics_{metrics},
        read_only_{read_only} {}

  struct Call {
    Target target;
    Resource resource;
    std::optional<std::string> key;
    const PageFile* file = nullptr;
    Work work = Work::none;

    /// Whether it touches the store. Nothing else needs the token.
    [[nodiscard]] bool needs_workers() const { return work != Work::none; }
  };

  [[nodiscard]] static bool has_body(const Request& request) {
    return request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  }

  /// Everything that can be refused before a body is read. @throws Refusal
  [[nodiscard]] Call admit(const Request& request) const {
    guard_.check_origin(request);
    Call call = find(parse_target(request.target));
    call.work = work_for(call.resource, request.method);
    if (call.needs_workers()) {
      guard_.check_site(request);
      guard_.check_token(request);
    }
    const std::string_view methods = methods_of(call.resource);
    if (!allows(methods, request.method)) {
      const bool known = http::string_to_verb(request.method) != http::verb::unknown;
      throw Refusal{known ? 405 : 501, "it knows " + std::string{methods}, {{"Allow", std::string{methods}}}};
    }
    if (read_only_ && request.method != "GET" && request.method != "HEAD")
      throw Refusal{403, "the store is open for reading only: see --read-only"};
    if (request.method == "PATCH") guard_.check_body(request, "application/merge-patch+json");
    if (request.method == "POST" || request.method == "PUT") guard_.check_body(request, "application/json");
    return call;
  }

  /// What an admitted request gets, with its body.
  [[nodiscard]] Response answer(const Call& call, const Request& request) const {
    Response response;
    try {
      if (has_body(request))
        handle_with_body(call, request, response);
      else
        handle_without_body(call, request, response);
    } catch (...) {
      response = {};
      set_problem(response, std::current_exception());
    }
    return response;
  }

  [[nodiscard]] bool asks_for_token() const noexcept { return guard_.asks_for_token(); }
  [[nodiscard]] std::size_t max_body() const noexcept { return guard_.max_body(); }
  [[nodiscard]] std::string too_large() const { return guard_.too_large(); }

 private:
  [[nodiscard]] static Call find(Target target) {
    const std::string& path = target.path;
    const auto call = [&](Resource resource) { return Call{std::move(target), resource, std::nullopt}; };
    if (path == "/healthz") return call(Resource::health);
    if (path == "/metrics") return call(Resource::metrics);
    if (path == "/export") return call(Resource::all);
    if (path == "/metrics.json") return call(Resource::metrics_json);
    for (const PageFile& file : kPageFiles) {
      if (path == file.path) return {std::move(target), Resource::page, std::nullopt, &file};
    }
    if (auto key = key_of(target)) return {std::move(target), Resource::entry, std::move(key)};
    if (path == kEntries) return call(Resource::entries);
    throw Refusal{404, "there is nothing at " + path};
  }

  void handle_without_body(const Call& call, const Request& request, Response& response) const {
    switch (call.resource) {
      case Resource::page:
        send_file(*call.file, response);
        break;
      case Resource::health:
        metrics_.health(response);
        break;
      case Resource::metrics:
        metrics_.prometheus(response);
        break;
      case Resource::metrics_json:
        metrics_.json(call.target, response);
        break;
      case Resource::entries:
        list_entries(store_, call.target, response);
        break;
      case Resource::all:
        export_entries(store_, exports_, call.target, response);
        break;
      case Resource::entry:
        handle_entry(call, request, response);
        break;
    }
  }

  void handle_entry(const Call& call, const Request& request, Response& response) const {
    call.target.allow_only({"key", "pretty"});
    if (request.method == "DELETE") return entries_.remove(*call.key, request, response);
    entries_.get(*call.key, call.target.find("pretty") != nullptr, request, response);
  }

  void handle_with_body(const Call& call, const Request& request, Response& response) const {
    call.target.allow_only({"key"});
    if (request.method == "POST") return entries_.create(request.body, response);
    if (request.method == "PUT") return entries_.put(*call.key, request, request.body, response);
    entries_.patch(*call.key, request, request.body, response);
  }

  static void send_file(const PageFile& file, Response& response) {
    if (file.path == "/") {
      response.set_header(
          "Content-Security-Policy",
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
          "require-trusted-types-for 'script'; trusted-types 'none'");
    }
    response.set_content(std::string{file.content}, file.type);
  }

  Guard guard_;
  EntriesApi& entries_;
  const Store& store_;
  const MetricsApi& metrics_;
  bool read_only_;
  mutable Slots exports_{kMaxExports, "exports are under way"};
};

}  // namespace metrics_server
