// SPDX-License-Identifier: MIT

// Users, passwords and certificates, on nodes of the tests' own.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "kvstore/etcd_key_value_store.hpp"
#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/etcd.hpp"
#include "support/eventually.hpp"
#include "support/temp_folder.hpp"

namespace security_test {

namespace {

using Store = kvstore::EtcdKeyValueStore<std::string, int>;
using nlohmann::json;

std::string encoded(const std::string& bytes) {
  std::string text;
  kvstore::detail::append_base64(text, bytes);
  return text;
}

/// Makes users root and ann, of whom ann may use keys from "ann/" on, and asks for passwords from now on.
void demand_passwords(const support::EtcdCluster& cluster) {
  kvstore::detail::EtcdClient client{cluster.options("")};
  const json may{{"permType", "READWRITE"}, {"key", encoded("ann/")}, {"range_end", encoded("ann0")}};
  const std::initializer_list<std::pair<const char*, json>> calls{
      {"user/add", {{"name", "root"}, {"password", "r"}}},
      {"role/add", {{"name", "root"}}},
      {"user/grant", {{"user", "root"}, {"role", "root"}}},
      {"user/add", {{"name", "ann"}, {"password", "secret"}}},
      {"role/add", {{"name", "part"}}},
      {"role/grant", {{"name", "part"}, {"perm", may}}},
      {"user/grant", {{"user", "ann"}, {"role", "part"}}},
      {"enable", json::object()}};
  for (const auto& [path, body] : calls) {
    client.call("/v3/auth/" + std::string{path}, body.dump(), kvstore::detail::EtcdRequest::read);
  }
}

kvstore::EtcdOptions as(kvstore::EtcdOptions options, const char* user, const char* password) {
  options.user = user;
  options.password = password;
  return options;
}

}  // namespace

TEST_CASE("etcd security: a password is asked for, and the user's rights hold") {
  const support::OwnEtcd own;
  const auto mine = own->options("ann/");
  REQUIRE_THROWS_WITH(Store(as(mine, "ann", "secret")),
                      Catch::Matchers::ContainsSubstring("authentication is not enabled"));
  demand_passwords(*own);
  REQUIRE_THROWS_AS(Store(as(mine, "ann", "wrong")), kvstore::ServerError);
  Store nobody{mine};
  REQUIRE_THROWS_WITH(nobody.create("a", 1), Catch::Matchers::ContainsSubstring("user name is empty"));
  Store elsewhere{as(own->options("bob/"), "ann", "secret")};
  REQUIRE_THROWS_WITH(elsewhere.create("a", 1), Catch::Matchers::ContainsSubstring("permission denied"));

  Store store{as(mine, "ann", "secret")};
  store.create("a", 1);
  REQUIRE(store.read("a") == 1);
  std::optional<std::string> refused;
  std::mutex mutex;
  const auto watch = elsewhere.watch([](const auto&...) {},
                                     [&](const std::exception& error) {
                                       const std::scoped_lock lock{mutex};
                                       refused = error.what();
                                     },
                                     1);
  CHECK(support::eventually([&] {
    const std::scoped_lock lock{mutex};
    return refused && refused->find("permission denied") != std::string::npos;
  }));
}

TEST_CASE("etcd security: a node that was restarted knows no tokens, and gets new ones") {
  support::OwnEtcd own;
  demand_passwords(*own);
  Store store{as(own->options("ann/"), "ann", "secret")};
  std::atomic<int> seen = 0;
  const auto watch = store.watch(
      [&](const std::string&, const std::optional<int>& value, std::int64_t) { seen = value.value_or(-1); });
  store.create("a", 1);
  REQUIRE(support::eventually([&] { return seen == 1; }));
  own->restart(0);
  store.update("a", 2);
  REQUIRE(store.read("a") == 2);
  REQUIRE(support::eventually([&] { return seen == 2; }));
}

TEST_CASE("etcd security: TLS, with certificates on both sides") {
  const support::TempFolder folder;
  support::make_certificates(folder);
  const auto file = [&](const char* name) { return (folder / name).string(); };
  const support::OwnEtcd own{"--cert-file " + file("cert.pem") + " --key-file " + file("key.pem") +
                             " --trusted-ca-file " + file("ca.pem") + " --client-cert-auth"};
  auto options = own->options("tls/");
  options.tls = true;
  options.ca_file = file("ca.pem");
  options.certificate_file = file("cert.pem");
  options.key_file = file("key.pem");
  Store store{options};
  store.create("a", 1);
  for (int i = 0; i < 20; ++i) store.modify("a", [](int& n) { ++n; });
  REQUIRE(store.read("a") == 21);
  std::atomic<bool> seen = false;
  {
    const auto watch = store.watch([&](const auto&...) { seen = true; });
    store.remove("a");
    REQUIRE(support::eventually([&] { return seen.load(); }));
  }

  auto stranger = options;
  stranger.timeout = std::chrono::hours{1};  // waiting makes no certificate better
  stranger.ca_file = "";                     // so the system's, which do not know ours
  REQUIRE_THROWS_WITH(Store{stranger},
                      Catch::Matchers::ContainsSubstring("EtcdOptions::ca_file names the authorities"));
  REQUIRE_THROWS_AS(Store{stranger}, kvstore::ServerError);
  stranger.ca_file = file("none.pem");
  REQUIRE_THROWS_WITH(Store{stranger}, Catch::Matchers::ContainsSubstring("none.pem"));
  REQUIRE_THROWS_AS(Store{stranger}, kvstore::UsageError);
  auto plain = own->options("tls/");
  plain.timeout = std::chrono::milliseconds{300};
  REQUIRE_THROWS_WITH(Store{plain}, Catch::Matchers::ContainsSubstring("wants TLS: EtcdOptions::tls"));
  options.key_file = file("ca.key");
  REQUIRE_THROWS_AS(Store{options}, kvstore::UsageError);
  REQUIRE_THROWS_WITH(Store{options},
                      Catch::Matchers::ContainsSubstring("EtcdOptions::certificate_file and key_file") &&
                          Catch::Matchers::ContainsSubstring("ca.key"));
}

TEST_CASE("etcd security: files for TLS without TLS are refused, before a password travels in clear") {
  const auto refused = [](auto change) {
    kvstore::EtcdOptions options;
    options.endpoints = {"127.0.0.1:1"};
    options.timeout = std::chrono::milliseconds{1};
    change(options);
    REQUIRE_THROWS_AS(Store{options}, kvstore::UsageError);
  };
  refused([](auto& options) { options.ca_file = "ca.pem"; });
  refused([](auto& options) { options.certificate_file = options.key_file = "mine.pem"; });
  refused([](auto& options) {
    options.tls = true;
    options.key_file = "mine.pem";
  });
}

TEST_CASE("etcd security: a certificate for other hosts is refused, even if its common name is this one") {
  const support::TempFolder folder;
  support::make_certificates(folder, "DNS:elsewhere.example,IP:127.0.0.2");
  const auto file = [&](const char* name) { return (folder / name).string(); };
  const support::OwnEtcd own{"--cert-file " + file("cert.pem") + " --key-file " + file("key.pem")};
  auto options = own->options("tls/");
  options.tls = true;
  options.ca_file = file("ca.pem");
  REQUIRE_THROWS_WITH(Store{options}, Catch::Matchers::ContainsSubstring(
                                          "mismatch; use a name or an address that it is for"));
}

}  // namespace security_test
