// SPDX-License-Identifier: MIT
#pragma once

// One connection to one Redis server. hiredis connects and parses replies. Sending and receiving are done
// here: hiredis 0.14 writes without MSG_NOSIGNAL, so that a server that goes away kills the program by
// SIGPIPE, and it knows no deadline over several replies. Commands are formatted here too, in six lines that
// need neither the memory nor the sprintf that hiredis uses for each (a sixth of a pipeline's time here).

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <initializer_list>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <hiredis/hiredis.h>

#include "kvstore/credentials.hpp"
#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/detail/remote/host_lookup.hpp"
#include "kvstore/detail/remote/socket_health.hpp"
#include "kvstore/detail/remote/tls.hpp"
#include "kvstore/error.hpp"
#include "kvstore/redis_cluster_options.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

using RedisArguments = std::span<const std::string_view>;

/// A connection failed and must no longer be used.
class RedisIoError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// *Thread safety*: one thread at a time. After a `RedisIoError` the connection must be dropped: replies
/// still to come would be mistaken for those to later commands.
class RedisConnection {
 public:
  /// Connects and authenticates, unless there is no password. @throws RedisIoError; ServerError if the server
  /// refuses user or password
  RedisConnection(const RedisAddress& address, const RedisClusterOptions& options, const Credentials& mine,
                  const Deadline& until)
      : address_{address}, context_{connected(address, until.within(options.connect_timeout))} {
    context_->reader->maxbuf = std::size_t{1} << 20;  // keep a buffer of this size between replies
    if (options.tls) secure(*options.tls, until.within(options.connect_timeout));
    if (!mine.password.empty()) authenticate(mine, until.within(options.connect_timeout));
  }

  [[nodiscard]] const RedisAddress& address() const noexcept { return address_; }

  /// Appends a command to the buffer, as "*2\r\n$3\r\nGET\r\n$1\r\na\r\n". Its arguments may be any bytes.
  void append(RedisArguments arguments) {
    append_number('*', arguments.size());
    for (const std::string_view argument : arguments) {
      append_number('$', argument.size());
      output_.append(argument).append("\r\n");
    }
  }
  void append(std::initializer_list<std::string_view> arguments) {
    append(RedisArguments{arguments.begin(), arguments.size()});
  }

  /// The bytes in the buffer.
  [[nodiscard]] std::size_t buffered() const noexcept { return output_.size(); }

  /// Sends the buffered commands; `idle` is the longest wait without progress. On failure, returns false and
  /// sets `sent` to the number of bytes sent; if that is not 0, a last reply may still give the reason.
  [[nodiscard]] bool send(const Deadline& until, std::chrono::milliseconds idle, std::size_t& sent) {
    sent = 0;
    if (tls_)
      encrypt_output();  // records are longer than their text: no command that was sent counts as not sent
    const bool is_sent = send(output_, until, idle, sent);
    if (is_sent) clear_output();
    return is_sent;
  }

  /// The next reply; `idle` is the longest wait without progress. @throws RedisIoError
  [[nodiscard]] RedisReply receive(const Deadline& until, std::chrono::milliseconds idle) {
    while (true) {
      void* reply = nullptr;
      if (redisReaderGetReply(context_->reader, &reply) != REDIS_OK)
        fail(std::string{context_->reader->errstr} + hint_of_tls());
      if (reply != nullptr) {
        answered_ = true;
        return RedisReply{reply};
      }
      if (!wait_for(POLLIN, until.within(idle))) fail("no answer in time");
      const std::string_view received = received_some();
      tls_ ? feed(decrypted(received, until)) : feed(received);
    }
  }

  /// Sends one command and returns its reply, which may be an error. @throws RedisIoError
  [[nodiscard]] RedisReply ask(std::initializer_list<std::string_view> command, const Deadline& until) {
    append(command);
    std::size_t sent = 0;
    if (!send(until, until.left(), sent)) fail("cannot send");
    return receive(until, until.left());
  }

  /// Whether the server has neither closed the connection nor sent anything unasked. False in a forked child,
  /// whose commands would be mixed with those of its parent.
  [[nodiscard]] bool is_usable() const noexcept {
    if (home_.is_foreign_by_id()) return false;
    char byte = 0;
    const ::ssize_t count = ::recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

 private:
  struct Free {
    void operator()(redisContext* context) const noexcept { redisFree(context); }
  };
  using Context = std::unique_ptr<redisContext, Free>;

  /// Each address of the host gets an equal share of the time that is left.
  [[nodiscard]] static Context connected(const RedisAddress& address, const Deadline& until) {
    const HostAddresses host = HostLookup::find(address.host, until);
    std::string reason = host.reason;
    for (std::size_t i = 0; i < host.addresses.size(); ++i) {
      const auto others = static_cast<long long>(host.addresses.size() - i);
      Context context = connected(host.addresses[i], address.port, until.left() / others);
      if (context->err == 0) return context;
      reason = context->errstr;
    }
    throw RedisIoError{address.text() + ": " + reason};
  }
  [[nodiscard]] static Context connected(const std::string& numeric, int port,
                                         std::chrono::milliseconds longest) {
    const auto left = std::max<std::chrono::microseconds>(std::chrono::milliseconds{1}, longest);
    ::timeval time{};
    time.tv_sec = static_cast<::time_t>(left.count() / 1000000);
    time.tv_usec = static_cast<::suseconds_t>(left.count() % 1000000);
    const StandardFiles taken;
    Context context{redisConnectWithTimeout(numeric.c_str(), port, time)};
    if (context == nullptr) throw std::bad_alloc{};
    if (context->err != 0) return context;
    leave_standard_files(*context);
    watch_health(context->fd);
    return context;
  }

  /// Moves the socket if the program has just closed 0, 1 or 2. Its output would otherwise go to the server,
  /// as a command.
  static void leave_standard_files(redisContext& context) {
    if (context.fd > STDERR_FILENO) return;
    const int high = ::fcntl(context.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (high < 0) throw RedisIoError{std::error_code{errno, std::generic_category()}.message()};
    ::close(context.fd);
    context.fd = high;
  }

  // --- TLS ---

  void secure(const Tls& tls, const Deadline& until) {
    try {
      tls_ = tls.start(address_.host);
      std::string received;
      std::string output;
      while (true) {
        const bool is_complete = tls_->shake_hands(received, output);
        send_records(output, until);
        if (is_complete) return;
        if (!wait_for(POLLIN, until)) fail("no answer to TLS in time; see that this port is one for TLS");
        received = received_some();
      }
    } catch (const TlsError& error) {
      if (error.is_distrusted()) throw ServerError{address_.text() + ": " + error.what()};
      fail(std::string{error.what()} + "; see that this port is one for TLS");
    }
  }
  void encrypt_output() {
    std::string records;
    try {
      tls_->encrypt(output_, records);
    } catch (const TlsError& error) { fail(error.what()); }
    output_ = std::move(records);
  }
  /// The text of records, empty if they are not complete; TLS may want to answer them.
  [[nodiscard]] std::string decrypted(std::string_view received, const Deadline& until) {
    std::string text;
    std::string output;
    try {
      tls_->decrypt(received, text, output);
    } catch (const TlsError& error) { fail(error.what()); }
    send_records(output, until);
    return text;
  }
  void send_records(std::string& output, const Deadline& until) {
    std::size_t sent = 0;
    if (!send(output, until, until.left(), sent)) fail("cannot send");
    output.clear();
  }
  [[nodiscard]] const char* hint_of_tls() const noexcept {
    return answered_ || tls_ ? "" : " (as a server does that wants TLS: RedisClusterOptions::tls)";
  }

  void authenticate(const Credentials& mine, const Deadline& until) {
    const RedisReply reply = mine.user.empty() ? ask({"AUTH", mine.password}, until)
                                               : ask({"AUTH", mine.user, mine.password}, until);
    if (!is_error(*reply)) return;
    if (RedisRefusal::of(text_of(*reply), address_).kind != RedisRefusal::Kind::final) {
      fail(std::string{text_of(*reply)});
    }
    throw ServerError{address_.text() + ": the server refuses user and password: " +
                      std::string{text_of(*reply)} + hint_of_password(text_of(*reply))};
  }

  /// False if nothing happened until the deadline.
  [[nodiscard]] bool wait_for(short event, const Deadline& until) const {
    constexpr std::chrono::milliseconds kLongest = std::chrono::hours{24};  // an `int` of them
    while (true) {
      ::pollfd waited{context_->fd, event, 0};
      const int ready = ::poll(&waited, 1, static_cast<int>(std::min(until.left(), kLongest).count()));
      if (ready > 0) return true;
      if (ready == 0 || errno != EINTR) return false;
    }
  }

  /// False after the deadline, or a failure; `sent` says how far it got.
  [[nodiscard]] bool send(std::string_view bytes, const Deadline& until, std::chrono::milliseconds idle,
                          std::size_t& sent) const {
    while (sent < bytes.size()) {
      const ::ssize_t count =
          ::send(context_->fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) {
        sent += static_cast<std::size_t>(count);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!wait_for(POLLOUT, until.within(idle))) return false;
      } else if (errno != EINTR) {
        return false;
      }
    }
    return true;
  }

  /// What has arrived; empty if nothing has. The view is valid until the next call.
  [[nodiscard]] std::string_view received_some() {
    const ::ssize_t count = ::recv(context_->fd, input_.data(), input_.size(), MSG_DONTWAIT);
    if (count == 0) fail(std::string{"the server closed the connection"} + hint_of_tls());
    if (count > 0) return {input_.data(), static_cast<std::size_t>(count)};
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) return {};
    fail(std::generic_category().message(errno) + hint_of_tls());
  }
  void feed(std::string_view text) {
    if (!text.empty() && redisReaderFeed(context_->reader, text.data(), text.size()) != REDIS_OK)
      throw std::bad_alloc{};
  }

  [[noreturn]] void fail(const std::string& why) const { throw RedisIoError{address_.text() + ": " + why}; }

  void append_number(char kind, std::size_t number) {
    std::array<char, 24> text{kind};
    char* const end = std::to_chars(text.data() + 1, text.data() + text.size(), number).ptr;
    output_.append(text.data(), static_cast<std::size_t>(end - text.data())).append("\r\n");
  }

  void clear_output() {
    constexpr std::size_t kKeep = std::size_t{1} << 20;           // one huge batch must not pin its size
    if (output_.capacity() > kKeep) std::string{}.swap(output_);  // assigning an empty one keeps the memory
    output_.clear();
  }

  RedisAddress address_;
  Context context_;
  std::string output_;  // commands not sent yet
  std::array<char, 16384> input_{};
  std::unique_ptr<TlsSession> tls_;
  bool answered_ = false;  // anything, ever
  ForkGuard home_;
};

}}}  // namespace kvstore::v1::detail
