// SPDX-License-Identifier: MIT
#pragma once

// Which request goes where.

#include <httplib.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "entries_api.hpp"
#include "guard.hpp"
#include "listing.hpp"
#include "metrics_api.hpp"
#include "page_files.hpp"
#include "problem.hpp"
#include "server.hpp"
#include "target.hpp"

namespace metrics_server {

/// What a path names.
enum class Resource { page, health, metrics, metrics_json, entries, entry };

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

[[nodiscard]] inline bool allows(std::string_view methods, std::string_view method) {
  while (!methods.empty()) {
    const std::size_t end = std::min(methods.find(", "), methods.size());
    if (methods.substr(0, end) == method) return true;
    methods.remove_prefix(std::min(end + 2, methods.size()));
  }
  return false;
}

class Routes {
  using Request = httplib::Request;
  using Response = httplib::Response;

 public:
  Routes(Guard guard, EntriesApi& entries, const Store& store, const MetricsApi& metrics)
      : guard_{std::move(guard)}, entries_{entries}, store_{store}, metrics_{metrics} {}

  void attach_to(Server& server) {
    const auto with_body = [this](const Request& request, Response& response,
                                  const httplib::ContentReader& reader) {
      handle_with_body(request, response, reader);
    };
    server.Post("/", with_body);
    server.Put("/", with_body);
    server.Patch("/", with_body);
    server.set_pre_routing_handler([this](const Request& request, Response& response) {
      return handle_without_body(request, response) ? httplib::Server::HandlerResponse::Handled
                                                    : httplib::Server::HandlerResponse::Unhandled;
    });
    server.set_expect_100_continue_handler(
        [this](const Request& request, Response& response) { return invite_body(request, response); });
    server.set_exception_handler([](const Request&, Response& response, const std::exception_ptr& thrown) {
      set_problem(response, thrown);
    });
    server.set_error_handler([](const Request&, Response& response) { explain(response); });
    server.set_post_routing_handler([](const Request&, Response& response) { tidy(response); });
    server.set_payload_max_length(guard_.max_body());
    server.set_default_headers({{"X-Content-Type-Options", "nosniff"},
                                {"Cache-Control", "no-store"},
                                {"Referrer-Policy", "no-referrer"},
                                {"Cross-Origin-Resource-Policy", "same-origin"}});
  }

 private:
  struct Call {
    Target target;
    Resource resource;
    std::optional<std::string> key;
    const PageFile* file = nullptr;
  };

  /// Everything that can be refused before a body is read. @throws Refusal
  [[nodiscard]] Call admit(const Request& request) const {
    guard_.check_origin(request);
    Call call = find(parse_target(request.target));
    if (call.resource != Resource::page && call.resource != Resource::health) {
      guard_.check_site(request);
      guard_.check_token(request);
    }
    const std::string_view methods = methods_of(call.resource);
    if (!allows(methods, request.method))
      throw Refusal{405, "it knows " + std::string{methods}, {{"Allow", std::string{methods}}}};
    if (request.method == "PATCH") guard_.check_body(request, "application/merge-patch+json");
    if (request.method == "POST" || request.method == "PUT") guard_.check_body(request, "application/json");
    return call;
  }

  [[nodiscard]] static Call find(Target target) {
    const std::string& path = target.path;
    const auto call = [&](Resource resource) { return Call{std::move(target), resource, std::nullopt}; };
    if (path == "/healthz") return call(Resource::health);
    if (path == "/metrics") return call(Resource::metrics);
    if (path == "/metrics.json") return call(Resource::metrics_json);
    for (const PageFile& file : kPageFiles) {
      if (path == file.path) return {std::move(target), Resource::page, std::nullopt, &file};
    }
    if (auto key = key_of(target)) return {std::move(target), Resource::entry, std::move(key)};
    if (path == kEntries) return call(Resource::entries);
    throw Refusal{404, "there is nothing at " + path};
  }

  [[nodiscard]] bool handle_without_body(const Request& request, Response& response) {
    const Call call = admit(request);
    if (request.method == "POST" || request.method == "PUT" || request.method == "PATCH") return false;
    response.status = 200;
    switch (call.resource) {
      case Resource::page:
        send_file(*call.file, response);
        break;
      case Resource::health:
        response.set_content("ok\n", "text/plain");
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
      case Resource::entry:
        handle_entry(call, request, response);
        break;
    }
    return true;
  }

  void handle_entry(const Call& call, const Request& request, Response& response) {
    call.target.allow_only({"key", "pretty"});
    if (request.method == "DELETE") return entries_.remove(*call.key, request, response);
    entries_.get(*call.key, call.target.find("pretty") != nullptr, request, response);
  }

  void handle_with_body(const Request& request, Response& response, const httplib::ContentReader& reader) {
    const Call call = admit(request);
    call.target.allow_only({"key"});
    const std::string body = read_body(reader);
    if (request.method == "POST") return entries_.create(body, response);
    if (request.method == "PUT") return entries_.put(*call.key, request, body, response);
    entries_.patch(*call.key, request, body, response);
  }

  [[nodiscard]] std::string read_body(const httplib::ContentReader& reader) const {
    std::string body;
    bool too_large = false;
    const bool whole = reader([&](const char* data, std::size_t size) {
      too_large = too_large || body.size() + size > guard_.max_body();
      if (!too_large) body.append(data, size);
      return !too_large;
    });
    if (too_large) guard_.throw_too_large();
    if (!whole) throw Refusal{400, "the body ended early, or did not come in time"};
    return body;
  }

  /// The answer to Expect: 100-continue.
  [[nodiscard]] int invite_body(const Request& request, Response& response) const {
    try {
      (void)admit(request);
      return 100;
    } catch (...) {
      set_problem(response, std::current_exception());
      return response.status;
    }
  }

  static void send_file(const PageFile& file, Response& response) {
    if (file.path == "/") {
      response.set_header(
          "Content-Security-Policy",
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
          "require-trusted-types-for 'script'; trusted-types 'none'");
    }
    response.set_content(file.content.data(), file.content.size(), file.type);
  }

  /// What httplib refuses by itself comes without a word.
  static void explain(Response& response) {
    if (!response.body.empty()) return;
    set_problem(response, response.status,
                response.status == 414
                    ? "the request line is too long"
                    : "the request could not be read: it is malformed, too large or incomplete");
  }

  static void tidy(Response& response) {
    response.headers.erase("Accept-Ranges");  // httplib offers ranges, and we do not
    if (response.status == 204 || response.status == 304) response.headers.erase("Content-Length");
  }

  Guard guard_;
  EntriesApi& entries_;
  const Store& store_;
  const MetricsApi& metrics_;
};

}  // namespace metrics_server
