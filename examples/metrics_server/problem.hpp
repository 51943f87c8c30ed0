// SPDX-License-Identifier: MIT
#pragma once

// What a request gets that cannot be served: a status, and why, as application/problem+json (RFC 9457).

#include <cerrno>
#include <exception>
#include <kvstore/error.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "exchange.hpp"

namespace metrics_server {

/// Ends the handling of a request with a status that is no success.
class Refusal : public std::runtime_error {
 public:
  Refusal(int status, const std::string& detail, Headers headers = {})
      : std::runtime_error{detail}, status_{status}, headers_{std::move(headers)} {}
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const Headers& headers() const noexcept { return headers_; }

 private:
  int status_;
  Headers headers_;
};

[[nodiscard]] inline const char* title_of(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 507:
      return "Insufficient Storage";
    default:
      return "Internal Server Error";
  }
}

inline void set_problem(Response& response, int status, const std::string& detail,
                        const nlohmann::ordered_json& more = nlohmann::ordered_json::object()) {
  nlohmann::ordered_json problem{
      {"type", "about:blank"}, {"title", title_of(status)}, {"status", status}, {"detail", detail}};
  problem.update(more);
  response.status = status;
  // A message may quote bytes that are no UTF-8.
  response.set_content(problem.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                       "application/problem+json");
}

[[nodiscard]] inline bool is_out_of_space(const std::error_code& code) {
  return code == std::errc::no_space_on_device || code == std::errc::file_too_large ||
         code == std::error_code{EDQUOT, std::generic_category()};
}

/// A save failed, but the change counts: whoever repeats the request must know.
inline void set_not_on_disk(Response& response, const kvstore::StorageError& error) {
  set_problem(response, is_out_of_space(error.code()) ? 507 : 503, error.what(),
              {{"applied", true}, {"on_disk", false}});
}

/// Answers with whatever was thrown while the request was handled.
inline void set_problem(Response& response, const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Refusal& refusal) {
    set_problem(response, refusal.status(), refusal.what());
    for (const auto& [name, value] : refusal.headers()) response.set_header(name, value);
  } catch (const kvstore::DuplicateKeyError& error) {
    set_problem(response, 409, error.what());
  } catch (const kvstore::KeyNotFoundError& error) {
    set_problem(response, 404, error.what());
  } catch (const kvstore::ValueError& error) {
    set_problem(response, 422, error.what());
  } catch (const kvstore::StorageError& error) {
    set_not_on_disk(response, error);
  } catch (const kvstore::UsageError& error) {  // the store is closed already
    set_problem(response, 503, error.what());
  } catch (const std::exception& error) { set_problem(response, 500, error.what()); } catch (...) {
    set_problem(response, 500, "an unknown error");
  }
}

}  // namespace metrics_server
