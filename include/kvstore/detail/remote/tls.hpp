// SPDX-License-Identifier: MIT
#pragma once

// Encryption of a conversation, as a connection sees it: bytes go in and come out, and the connection moves
// them. So sending and waiting, with their deadlines, are written once for both kinds of connections.

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kvstore { inline namespace v1 { namespace detail {

/// The conversation cannot go on.
class TlsError : public std::runtime_error {
 public:
  TlsError(const std::string& what, bool is_distrusted)
      : std::runtime_error{what}, distrusted_{is_distrusted} {}

  /// Whether the other end is not whom its certificate names, or nobody vouches for it: no try will help.
  [[nodiscard]] bool is_distrusted() const noexcept { return distrusted_; }

 private:
  bool distrusted_;
};

/// One conversation. *Thread safety*: one thread at a time.
class TlsSession {
 public:
  TlsSession() = default;
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  virtual ~TlsSession() = default;

  /// Goes on with the handshake after the server has sent `received`, and appends to `output` what to send.
  /// @returns whether it is complete @throws TlsError
  [[nodiscard]] virtual bool shake_hands(std::string_view received, std::string& output) = 0;
  /// Appends the records of `text` to `output`. @throws TlsError
  virtual void encrypt(std::string_view text, std::string& output) = 0;
  /// Appends to `text` what is complete of the records in `received`, and to `output` what to send in answer.
  /// @throws TlsError
  virtual void decrypt(std::string_view received, std::string& text, std::string& output) = 0;
};

/// Makes conversations. *Thread safety*: safe from any thread.
class Tls {
 public:
  Tls() = default;
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  virtual ~Tls() = default;

  /// A conversation with this host, whose certificate must be for that name or address. @throws TlsError
  [[nodiscard]] virtual std::unique_ptr<TlsSession> start(const std::string& host) const = 0;
};

}}}  // namespace kvstore::v1::detail
