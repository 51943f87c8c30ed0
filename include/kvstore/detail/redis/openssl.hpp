// SPDX-License-Identifier: MIT
#pragma once

// TLS by OpenSSL, in memory.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "kvstore/detail/remote/host_lookup.hpp"
#include "kvstore/detail/remote/openssl_reason.hpp"
#include "kvstore/detail/remote/tls.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class OpenSslSession final : public TlsSession {
 public:
  OpenSslSession(::SSL_CTX* context, const std::string& host) : ssl_{::SSL_new(context)} {
    if (!ssl_) throw std::bad_alloc{};
    received_ = ::BIO_new(::BIO_s_mem());
    sent_ = ::BIO_new(::BIO_s_mem());
    if (received_ == nullptr || sent_ == nullptr) throw std::bad_alloc{};
    ::SSL_set_bio(ssl_.get(), received_, sent_);  // owns both
    ::SSL_set_connect_state(ssl_.get());
    ::X509_VERIFY_PARAM* const wanted = ::SSL_get0_param(ssl_.get());
    const bool is_address = HostLookup::is_numeric(host);
    if (!is_address) ::SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
    if ((is_address ? ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str())
                    : ::X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size())) != 1) {
      throw TlsError{"no certificate can be for a host of this name", true};
    }
  }

  [[nodiscard]] bool shake_hands(std::string_view received, std::string& output) override {
    feed(received);
    ::ERR_clear_error();  // what the program has left there would be taken for an error of this call, also
                          // below
    const int result = ::SSL_do_handshake(ssl_.get());
    drain(output);
    if (result == 1) return true;
    if (wants_more(result)) return false;
    const long verdict = ::SSL_get_verify_result(ssl_.get());
    if (verdict != X509_V_OK) {
      ::ERR_clear_error();
      throw TlsError{certificate_refusal(verdict, "RedisTlsOptions::ca_file"), true};
    }
    throw TlsError{"no TLS is agreed on (" + openssl_reason() + ")", false};
  }

  void encrypt(std::string_view text, std::string& output) override {
    std::size_t written = 0;
    ::ERR_clear_error();
    if (!text.empty() && ::SSL_write_ex(ssl_.get(), text.data(), text.size(), &written) != 1)
      throw TlsError{"TLS cannot encrypt (" + openssl_reason() + ")", false};
    drain(output);
  }

  void decrypt(std::string_view received, std::string& text, std::string& output) override {
    feed(received);
    std::array<char, 16384> part;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by SSL_read_ex
    std::size_t count = 0;
    int result = 0;
    ::ERR_clear_error();
    while ((result = ::SSL_read_ex(ssl_.get(), part.data(), part.size(), &count)) == 1)
      text.append(part.data(), count);
    drain(output);
    // What came before the end counts: whoever wants more finds out that there is none.
    if (!wants_more(result) && text.empty())
      throw TlsError{"the server has ended TLS (" + openssl_reason() + ")", false};
  }

 private:
  struct Free {
    void operator()(::SSL* ssl) const noexcept { ::SSL_free(ssl); }
  };

  void feed(std::string_view received) {
    std::size_t written = 0;
    if (!received.empty() && ::BIO_write_ex(received_, received.data(), received.size(), &written) != 1)
      throw std::bad_alloc{};
  }
  void drain(std::string& output) {
    std::array<char, 16384> part;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by BIO_read_ex
    std::size_t count = 0;
    while (::BIO_read_ex(sent_, part.data(), part.size(), &count) == 1) output.append(part.data(), count);
  }
  [[nodiscard]] bool wants_more(int result) const {
    return ::SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ;
  }

  std::unique_ptr<::SSL, Free> ssl_;
  ::BIO* received_ = nullptr;
  ::BIO* sent_ = nullptr;
};

class OpenSslTls final : public Tls {
 public:
  /// @throws UsageError
  OpenSslTls(const std::string& ca_file, const std::string& certificate_file, const std::string& key_file)
      : context_{::SSL_CTX_new(::TLS_client_method())} {
    ::SSL_CTX* const context = context_.get();
    if (context == nullptr) throw std::bad_alloc{};
    ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if ((ca_file.empty() ? ::SSL_CTX_set_default_verify_paths(context)
                         : ::SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr)) != 1) {
      refuse("ca_file", ca_file, "no certificate authorities can be read there");
    }
    if (certificate_file.empty() != key_file.empty()) {
      throw UsageError{"RedisTlsOptions: of certificate_file and key_file, one is set and the other is not"};
    }
    if (certificate_file.empty()) return;
    if (::SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
      refuse("certificate_file", certificate_file, "no certificate can be read there");
    if (::SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      refuse("key_file", key_file, "no key of that certificate can be read there");
  }

  [[nodiscard]] std::unique_ptr<TlsSession> start(const std::string& host) const override {
    return std::make_unique<OpenSslSession>(context_.get(), host);
  }

 private:
  struct Free {
    void operator()(::SSL_CTX* context) const noexcept { ::SSL_CTX_free(context); }
  };

  [[noreturn]] static void refuse(const std::string& option, const std::string& file,
                                  const std::string& why) {
    throw UsageError{file + ": " + why + " (RedisTlsOptions::" + option +
                     ", a PEM file): " + openssl_reason()};
  }

  std::unique_ptr<::SSL_CTX, Free> context_;
};

}}}  // namespace kvstore::v1::detail
