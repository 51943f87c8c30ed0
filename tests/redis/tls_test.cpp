// SPDX-License-Identifier: MIT

// TLS between stores and servers of the tests' own.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/redis_cluster_key_value_store.hpp"
#include "kvstore/redis_tls.hpp"
#include "kvstore/storage/redis_cluster_storage.hpp"
#include "kvstore/write_batch.hpp"
#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/own_redis.hpp"
#include "support/redis_servers.hpp"
#include "support/temp_folder.hpp"

namespace redis_tls_test { namespace {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using Store = kvstore::RedisClusterKeyValueStore<std::string, std::string>;

/// A server outside a cluster, with certificates in a folder of its own.
class TlsServer {
 public:
  explicit TlsServer(const std::string& name = "IP:127.0.0.1", bool asks_for_certificates = false)
      : server_{
            made(folder_, name, asks_for_certificates),
            "--tls --cacert " + file("ca.pem") + " --cert " + file("cert.pem") + " --key " + file("key.pem"),
            "--port 0 --tls-port"} {}

  [[nodiscard]] std::string file(const char* name) const { return (folder_ / name).string(); }
  [[nodiscard]] kvstore::RedisClusterOptions options(const kvstore::RedisTlsOptions& tls) const {
    kvstore::RedisClusterOptions options{.seeds = {server_.endpoint()}};
    options.tls = kvstore::redis_tls(tls);
    return options;
  }
  [[nodiscard]] kvstore::RedisClusterOptions options() const { return options({.ca_file = file("ca.pem")}); }

 private:
  /// Makes the certificates. @returns the arguments that name them
  [[nodiscard]] static std::string made(const support::TempFolder& folder, const std::string& name,
                                        bool asks) {
    support::make_certificates(folder, name);
    const auto file = [&](const char* one) { return (folder / one).string(); };
    return "--tls-cert-file " + file("cert.pem") + " --tls-key-file " + file("key.pem") +
           " --tls-ca-cert-file " + file("ca.pem") + " --tls-auth-clients " + (asks ? "yes" : "no");
  }

  support::TempFolder folder_;
  support::OwnRedis server_;
};

TEST_CASE("Redis TLS: verbs, huge values, batches and a storage") {
  const TlsServer server;
  Store store{server.options()};
  store.create("a", "one");
  for (int i = 0; i < 200; ++i) store.modify("a", [](std::string& text) { text += 'x'; });
  CHECK(store.read("a").size() == 203);
  ERR_raise(ERR_LIB_USER, 42);  // left behind by other code of this thread
  store.upsert("b", "two");
  CHECK(store.read("b") == "two");
  const std::string huge(30'000'000, 'h');
  store.upsert("huge", huge);
  CHECK(store.read("huge") == huge);
  kvstore::WriteBatch<std::string, std::string> batch;
  for (int i = 0; i < 3000; ++i) batch.upsert(std::to_string(i), std::string(100, 'b'));
  store.apply(batch);
  CHECK(store.size() == 3003);

  using Stored = kvstore::BatchPersistentKeyValueStore<std::string, int>;
  const auto storage = [&] {
    return std::make_unique<kvstore::RedisClusterStorage>(server.options(), "stored");
  };
  Stored{storage()}.create("kept", 1);
  CHECK(Stored{storage()}.read("kept") == 1);
}

struct FreeTls {
  void operator()(::SSL* ssl) const noexcept { ::SSL_free(ssl); }
  void operator()(::SSL_CTX* context) const noexcept { ::SSL_CTX_free(context); }
};

/// The server's end of a conversation in memory.
class OtherEnd {
 public:
  explicit OtherEnd(const support::TempFolder& folder) {
    ::SSL_CTX_use_certificate_chain_file(context_.get(), (folder / "cert.pem").c_str());
    ::SSL_CTX_use_PrivateKey_file(context_.get(), (folder / "key.pem").c_str(), SSL_FILETYPE_PEM);
    ssl_.reset(::SSL_new(context_.get()));
    ::SSL_set_bio(ssl_.get(), received_, sent_);
    ::SSL_set_accept_state(ssl_.get());
  }
  std::string shake_hands(const std::string& received) {
    ::BIO_write(received_, received.data(), static_cast<int>(received.size()));
    ::SSL_do_handshake(ssl_.get());
    return sent();
  }
  void say(const std::string& text) { ::SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())); }
  void end() { ::SSL_shutdown(ssl_.get()); }
  std::string sent() {
    std::string text(::BIO_ctrl_pending(sent_), '\0');
    if (!text.empty()) ::BIO_read(sent_, text.data(), static_cast<int>(text.size()));
    return text;
  }

 private:
  std::unique_ptr<::SSL_CTX, FreeTls> context_{::SSL_CTX_new(::TLS_server_method())};
  std::unique_ptr<::SSL, FreeTls> ssl_;
  ::BIO* received_ = ::BIO_new(::BIO_s_mem());
  ::BIO* sent_ = ::BIO_new(::BIO_s_mem());
};

TEST_CASE("Redis TLS: an answer counts though the server ends the conversation right behind it") {
  const support::TempFolder folder;
  support::make_certificates(folder);
  OtherEnd server{folder};
  const auto session = kvstore::redis_tls({.ca_file = (folder / "ca.pem").string()})->start("127.0.0.1");
  std::string out;
  std::string in;
  for (int round = 0; !session->shake_hands(in, out); ++round) {
    REQUIRE(round < 10);
    in = server.shake_hands(std::exchange(out, {}));
  }
  in = server.shake_hands(out);
  server.say("+OK\r\n");
  server.end();
  std::string text;
  session->decrypt(in + server.sent(), text, out);
  CHECK(text == "+OK\r\n");
  text.clear();
  CHECK_THROWS_WITH(session->decrypt({}, text, out), ContainsSubstring("the server has ended TLS"));
}

TEST_CASE("Redis TLS: threads share the servers' settings") {
  const TlsServer server;
  Store store{server.options()};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 100; ++n) store.upsert(std::to_string(i) + ':' + std::to_string(n), "v");
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(store.size() == 400);
}

TEST_CASE("Redis TLS: a server that nobody vouches for, or of another name, is refused at once") {
  const bool known = GENERATE(false, true);
  const TlsServer server{known ? "DNS:elsewhere.example,IP:127.0.0.2" : "IP:127.0.0.1"};
  auto options = known ? server.options() : server.options({});
  options.timeout = 1h;
  CHECK_THROWS_AS(Store{options}, kvstore::ServerError);
  CHECK_THROWS_WITH(Store{options},
                    ContainsSubstring("certificate is not accepted") &&
                        ContainsSubstring(known ? "IP address mismatch" : "self-signed certificate"));
}

TEST_CASE("Redis TLS: a client shows its certificate if the server asks for one") {
  const TlsServer server{"IP:127.0.0.1", true};
  Store store{server.options({server.file("ca.pem"), server.file("cert.pem"), server.file("key.pem")})};
  store.create("a", "1");
  CHECK(store.read("a") == "1");
  auto without = server.options();
  without.timeout = 500ms;
  CHECK_THROWS_AS(Store{without}, kvstore::UnavailableError);
}

TEST_CASE("Redis TLS: a file that cannot be used is named") {
  const TlsServer server;
  const std::string ca = server.file("ca.pem");
  const std::string none = server.file("none.pem");
  CHECK_THROWS_WITH(kvstore::redis_tls({.ca_file = none}),
                    ContainsSubstring(none) && ContainsSubstring("ca_file"));
  CHECK_THROWS_AS(kvstore::redis_tls({.ca_file = none}), kvstore::UsageError);
  CHECK_THROWS_AS(kvstore::redis_tls({ca, server.file("cert.pem"), {}}), kvstore::UsageError);
  CHECK_THROWS_WITH(kvstore::redis_tls({ca, none, server.file("key.pem")}),
                    ContainsSubstring("certificate_file"));
  CHECK_THROWS_WITH(kvstore::redis_tls({ca, server.file("cert.pem"), server.file("ca.key")}),
                    ContainsSubstring("key_file"));
}

TEST_CASE("Redis TLS: one end with TLS and the other without say so") {
  const TlsServer server;
  auto plain = server.options();
  plain.tls = nullptr;
  plain.timeout = 300ms;
  CHECK_THROWS_WITH(Store{plain}, ContainsSubstring("RedisClusterOptions::tls"));
  const support::RedisServers others;
  auto secret = others.options();
  secret.tls = server.options().tls;
  secret.timeout = 300ms;
  CHECK_THROWS_WITH(Store{secret}, ContainsSubstring("see that this port is one for TLS"));
}

}}  // namespace redis_tls_test
