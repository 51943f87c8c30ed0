// SPDX-License-Identifier: MIT
#pragma once

// OpenSSL's reasons, in words.

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <string>
#include <string_view>
#include <system_error>

namespace kvstore { inline namespace v1 { namespace detail {

/// OpenSSL's first reason, and forgets the others. Errors stand in a queue of the thread.
[[nodiscard]] inline std::string openssl_reason() {
  const unsigned long error = ::ERR_get_error();
  ::ERR_clear_error();
  if (ERR_SYSTEM_ERROR(error)) return std::generic_category().message(ERR_GET_REASON(error));
  const char* const reason = ::ERR_reason_error_string(error);
  return reason == nullptr ? "no reason given" : reason;
}

/// Why a server's certificate is not accepted; X509_V_OK if it is the client library that finds it to be for
/// another host. `ca_file` is the option that names the authorities.
[[nodiscard]] inline std::string certificate_refusal(long verdict, std::string_view ca_file) {
  std::string text{"the server's certificate is not accepted: "};
  text += verdict == X509_V_OK ? "it is not for this host" : ::X509_verify_cert_error_string(verdict);
  const bool is_of_another = verdict == X509_V_OK || verdict == X509_V_ERR_HOSTNAME_MISMATCH ||
                             verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
  if (is_of_another) return text += "; use a name or an address that it is for";
  return ((text += "; ") += ca_file) += " names the authorities to trust";
}

}}}  // namespace kvstore::v1::detail
