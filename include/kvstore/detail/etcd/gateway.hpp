// SPDX-License-Identifier: MIT
#pragma once

// The messages of etcd's v3 JSON gateway. They are protocol buffers as JSON: false, zero and empty fields are
// left out, 64-bit numbers are strings, keys and values are base64. Source:
// https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/, etcd's rpc.proto.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/detail/base/immortal.hpp"
#include "kvstore/detail/etcd/base64.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

// --- requests ----------------------------------------------------------------------------------------------

/// `,"name":"base64"`. Requests are short and always of the same form, so they are assembled as text.
inline void append_bytes_field(std::string& out, std::string_view name, std::string_view bytes) {
  ((out += ",\"") += name) += "\":\"";
  append_base64(out, bytes);
  out += '"';
}

inline void append_number_field(std::string& out, std::string_view name, std::int64_t number) {
  ((((out += ",\"") += name) += "\":\"") += std::to_string(number)) += '"';
}

/// The fields so far, each with a comma before it, as an object.
[[nodiscard]] inline std::string json_object(std::string_view fields) {
  std::string out{"{"};
  if (!fields.empty()) out += fields.substr(1);
  return out += '}';
}

/// The keys from `first` up to, but without, `end`.
struct EtcdRange {
  std::string first;
  std::string end;
};

/// All keys with a prefix. A zero byte means the first key, or as the end "no end".
[[nodiscard]] inline EtcdRange prefix_range(std::string_view prefix) {
  std::string end{prefix};
  while (!end.empty() && end.back() == '\xFF') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  const std::string zero(1, '\0');
  return {prefix.empty() ? zero : std::string{prefix}, end.empty() ? zero : end};
}

[[nodiscard]] inline std::string range_fields(const EtcdRange& range) {
  std::string out;
  append_bytes_field(out, "key", range.first);
  if (!range.end.empty()) append_bytes_field(out, "range_end", range.end);
  return out;
}

/// A transaction: if all conditions hold, the first list of operations is carried out, otherwise the second.
class EtcdTransaction {
 public:
  /// Bytes for the tags and lengths of an operation and its fields, at most.
  static constexpr std::size_t kFraming = 24;

  void require(std::string_view key, Before before) {
    if (before == Before::any) return;
    compare(key, "CREATE", before == Before::absent ? "EQUAL" : "GREATER");
    append_number_field(compare_, "create_revision", 0);
    compare_ += '}';
  }
  void require_value(std::string_view key, std::string_view value) {
    compare(key, "VALUE", "EQUAL");
    append_bytes_field(compare_, "value", value);
    compare_ += '}';
    bytes_ += value.size();
  }

  /// With a lease the entry ends when that ends.
  void put(std::string_view key, std::string_view value, std::int64_t lease = 0) {
    operation(success_, "request_put", key);
    append_bytes_field(success_, "value", value);
    if (lease != 0) append_number_field(success_, "lease", lease);
    success_ += "}}";
    bytes_ += value.size();
  }
  /// Of a key that exists; its lease stays.
  void replace(std::string_view key, std::string_view value) {
    operation(success_, "request_put", key);
    append_bytes_field(success_, "value", value);
    success_ += ",\"ignore_lease\":true}}";
    bytes_ += value.size();
  }
  void remove(std::string_view key) {
    operation(success_, "request_delete_range", key);
    success_ += "}}";
  }
  void read(std::string_view key) {
    operation(success_, "request_range", key);
    success_ += "}}";
  }
  /// Whether the key exists, as a count of 0 or 1.
  void count(std::string_view key) { add_count(success_, key); }
  void otherwise_count(std::string_view key) { add_count(failure_, key); }
  void otherwise_read(std::string_view key) {
    operation(failure_, "request_range", key);
    failure_ += "}}";
  }

  [[nodiscard]] std::string text() const {
    std::string out{"{\"compare\":["};
    out.reserve(compare_.size() + success_.size() + failure_.size() + 48);
    append_list(out, compare_);
    append_list(out += "],\"success\":[", success_);
    append_list(out += "],\"failure\":[", failure_);
    return out += "]}";
  }

  /// The size that etcd compares with its limit, to within a few bytes an operation: that of the protocol
  /// buffer, not of the JSON.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  static void append_list(std::string& out, std::string_view items) {
    if (!items.empty()) out += items.substr(1);
  }

  void compare(std::string_view key, std::string_view target, std::string_view result) {
    ((((compare_ += ",{\"target\":\"") += target) += "\",\"result\":\"") += result) += '"';
    append_bytes_field(compare_, "key", key);
    bytes_ += key.size() + kFraming;
  }

  void operation(std::string& list, std::string_view name, std::string_view key) {
    ((list += ",{\"") += name) += "\":{\"key\":\"";
    append_base64(list, key);
    list += '"';
    bytes_ += key.size() + kFraming;
  }

  void add_count(std::string& list, std::string_view key) {
    operation(list, "request_range", key);
    list += ",\"count_only\":true}}";
  }

  std::string compare_;
  std::string success_;
  std::string failure_;
  std::size_t bytes_ = kFraming;
};

// --- answers -----------------------------------------------------------------------------------------------

/// A member of an object, or null if it was left out.
[[nodiscard]] inline const nlohmann::json& json_member(const nlohmann::json& object, const char* name) {
  static const Immortal<nlohmann::json> left_out;
  if (!object.is_object()) return *left_out;
  const auto found = object.find(name);
  return found == object.end() ? *left_out : *found;
}

/// A 64-bit number; 0 if it was left out. @throws ParseError
[[nodiscard]] inline std::int64_t json_number(const nlohmann::json& object, const char* name) {
  const nlohmann::json& member = json_member(object, name);
  if (member.is_null()) return 0;
  if (member.is_number_integer()) return member.get<std::int64_t>();
  std::int64_t number = 0;
  const std::string text = member.is_string() ? member.get<std::string>() : std::string{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    throw ParseError{0, std::string{"expected a number as "} + name};
  }
  return number;
}

[[nodiscard]] inline bool json_flag(const nlohmann::json& object, const char* name) {
  const nlohmann::json& member = json_member(object, name);
  return member.is_boolean() && member.get<bool>();
}

/// Bytes from base64; empty if they were left out. @throws ParseError
[[nodiscard]] inline std::string json_bytes(const nlohmann::json& object, const char* name) {
  const nlohmann::json& member = json_member(object, name);
  return member.is_string() ? base64_bytes(member.get_ref<const std::string&>()) : std::string{};
}

[[nodiscard]] inline std::string json_text(const nlohmann::json& object, const char* name) {
  const nlohmann::json& member = json_member(object, name);
  return member.is_string() ? member.get<std::string>() : std::string{};
}

/// The revision of the whole cluster's data at which a request was answered.
[[nodiscard]] inline std::int64_t answered_revision(const nlohmann::json& answer) {
  return json_number(json_member(answer, "header"), "revision");
}

/// The answer to operation number `i` of a transaction's list, which was a range.
[[nodiscard]] inline const nlohmann::json& range_answer(const nlohmann::json& answer, std::size_t i) {
  const nlohmann::json& all = json_member(answer, "responses");
  if (!all.is_array() || i >= all.size()) throw ParseError{0, "expected an answer to each operation"};
  return json_member(all[i], "response_range");
}

}}}  // namespace kvstore::v1::detail
