// SPDX-License-Identifier: MIT

// The shapes of etcd's JSON gateway, and what its errors mean, without a server.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kvstore/detail/etcd/base64.hpp"
#include "kvstore/detail/etcd/gateway.hpp"
#include "kvstore/detail/etcd/verdict.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "support/catch.hpp"

namespace gateway_test {

using namespace kvstore::detail;
using nlohmann::json;

namespace {

std::string encoded(std::string_view bytes) {
  std::string text;
  append_base64(text, bytes);
  return text;
}

EtcdOutcome outcome(int status, const std::string& body) {
  return judge_answer(status, json::parse(body, nullptr, false), body).outcome;
}

}  // namespace

TEST_CASE("Gateway: base64 is that of RFC 4648, for every byte") {
  CHECK(encoded("").empty());
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foo") == "Zm9v");
  CHECK(encoded("foobar") == "Zm9vYmFy");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (std::size_t length = 250; length <= 256; ++length) {
    CHECK(base64_bytes(encoded(all.substr(0, length))) == all.substr(0, length));
  }
  CHECK_THROWS_AS(base64_bytes("Zg="), kvstore::ParseError);
  CHECK_THROWS_AS(base64_bytes("Zg=a"), kvstore::ParseError);
  CHECK_THROWS_AS(base64_bytes("Z-=="), kvstore::ParseError);
}

TEST_CASE("Gateway: what was left out is false, zero or empty") {
  const json answer = json::parse(R"({"header":{"revision":"9223372036854775807"},"count":"12","more":true,
                                      "value":"Zm9v","bad":"1x","odd":7})");
  CHECK(answered_revision(answer) == 9223372036854775807);
  CHECK(answered_revision(json::object()) == 0);
  CHECK(json_number(answer, "count") == 12);
  CHECK(json_number(answer, "odd") == 7);
  CHECK(json_number(answer, "deleted") == 0);
  CHECK_THROWS_AS(json_number(answer, "bad"), kvstore::ParseError);
  CHECK(json_flag(answer, "more"));
  CHECK_FALSE(json_flag(answer, "succeeded"));
  CHECK(json_bytes(answer, "value") == "foo");
  CHECK(json_bytes(answer, "key").empty());
  CHECK_THROWS_AS(range_answer(answer, 0), kvstore::ParseError);
}

TEST_CASE("Gateway: a range of a prefix ends before the next prefix") {
  CHECK(prefix_range("ab").end == "ac");
  CHECK(prefix_range("a\xFF").end == "b");
  CHECK(prefix_range("\xFF\xFF").end == std::string(1, '\0'));
  CHECK(prefix_range("").first == std::string(1, '\0'));
  CHECK(prefix_range("").end == std::string(1, '\0'));
}

TEST_CASE("Gateway: a transaction is JSON with conditions and both lists") {
  EtcdTransaction transaction;
  transaction.require("k", Before::absent);
  transaction.require("l", Before::present);
  transaction.require("m", Before::any);
  transaction.require_value("n", "1");
  transaction.put("k", "2");
  transaction.remove("l");
  transaction.otherwise_count("k");
  transaction.otherwise_read("n");
  const json text = json::parse(transaction.text());
  REQUIRE(text["compare"].size() == 3);
  CHECK(text["compare"][0] ==
        json::parse(R"({"target":"CREATE","result":"EQUAL","key":"aw==","create_revision":"0"})"));
  CHECK(text["compare"][1]["result"] == "GREATER");
  CHECK(text["compare"][2] ==
        json::parse(R"({"target":"VALUE","result":"EQUAL","key":"bg==","value":"MQ=="})"));
  CHECK(text["success"] == json::parse(R"([{"request_put":{"key":"aw==","value":"Mg=="}},
                                           {"request_delete_range":{"key":"bA=="}}])"));
  CHECK(text["failure"][0] == json::parse(R"({"request_range":{"key":"aw==","count_only":true}})"));
  CHECK(json::parse(EtcdTransaction{}.text()) == json::parse(R"({"compare":[],"success":[],"failure":[]})"));
}

TEST_CASE("Verdict: only what etcd says before it proposes a write counts as not carried out") {
  CHECK(outcome(200, "{}") == EtcdOutcome::done);
  CHECK(outcome(200, "<html>") == EtcdOutcome::unknown);
  CHECK(outcome(503, R"({"message":"etcdserver: no leader","code":14})") == EtcdOutcome::not_carried_out);
  CHECK(outcome(429, R"({"error":"etcdserver: too many requests"})") == EtcdOutcome::not_carried_out);
  for (const char* words :
       {"etcdserver: request timed out", "etcdserver: leader changed", "etcdserver: server stopped",
        "transport is closing", "etcdserver: request timed out, possibly due to previous leader failure"}) {
    INFO(words);
    CHECK(outcome(503, json{{"message", words}}.dump()) == EtcdOutcome::unknown);
  }
  CHECK(outcome(500, "oops") == EtcdOutcome::unknown);
  CHECK(outcome(408, R"({"message":"context canceled"})") == EtcdOutcome::unknown);
  CHECK(outcome(401, R"({"message":"etcdserver: invalid auth token"})") == EtcdOutcome::token_expired);
  CHECK(outcome(403, R"({"message":"etcdserver: permission denied"})") == EtcdOutcome::refused);
  CHECK(judge_answer(404, json{}, "Not Found").reason ==
        "HTTP status 404, Not Found (is this etcd 3.4 or later, with its JSON gateway?)");
}

}  // namespace gateway_test
