// SPDX-License-Identifier: MIT
#pragma once

// One connection, which brings one request: none can be mistaken for what was left of another one's body.
// Each stage has a deadline. Everything here runs in the thread of the sockets; requests that touch the store
// are handled by the workers.

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "exchange.hpp"
#include "problem.hpp"
#include "registry.hpp"
#include "routes.hpp"
#include "target.hpp"
#include "workers.hpp"

namespace metrics_server {

inline constexpr std::size_t kMaxHead = 32 * 1024;  ///< bytes of the request line and all headers
static_assert(kMaxTarget > 3 * kMaxKey + 64 && kMaxHead > kMaxTarget);
inline constexpr std::size_t kPieceBytes = 64 * 1024;
inline constexpr std::chrono::seconds kHeadTime{10};  ///< browsers connect in advance
inline constexpr std::chrono::seconds kBodyTime{15};
inline constexpr std::chrono::seconds kPieceTime{15};  ///< for a client to take a piece of the answer
inline constexpr std::chrono::seconds kFarewellTime{1};

class Session : public std::enable_shared_from_this<Session> {
  using Error = boost::system::error_code;
  using Clock = std::chrono::steady_clock;

 public:
  struct Surroundings {
    Registry<Session>& sessions;
    const Routes& routes;
    Staff& staff;
  };

  Session(boost::asio::ip::tcp::socket socket, const Surroundings& around)
      : socket_{std::move(socket)}, timer_{socket_.get_executor()}, around_{around} {
    head_->header_limit(kMaxHead);
    head_->body_limit(std::numeric_limits<std::uint64_t>::max());  // the guard has a word of its own
    Error ignored;
    socket_.set_option(boost::asio::ip::tcp::no_delay{true}, ignored);
  }

  void start() {
    number_ = around_.sessions.add(shared_from_this());
    give_time(kHeadTime);
    http::async_read_header(socket_, buffer_, *head_,
                            [self = shared_from_this()](Error error, std::size_t) { self->on_head(error); });
  }

  /// Ends a connection whose request has not come in full. Answers under way are finished.
  void stop() {
    if (stage_ == Stage::reading) close();
  }

  [[nodiscard]] Clock::time_point begun() const noexcept { return begun_; }

  /// Since when the client has taken no piece of the answer that waits for it; for ever if it has the answer.
  [[nodiscard]] std::optional<Clock::time_point> stalled_since() const {
    if (stage_ == Stage::parting) return Clock::time_point{};
    return stage_ == Stage::writing ? std::optional{writing_since_} : std::nullopt;
  }

  /// Bytes of the answer, until it has gone.
  [[nodiscard]] std::size_t held_bytes() const noexcept { return held_bytes_; }

  void close() {
    timer_.cancel();
    Error ignored;
    socket_.close(ignored);
    around_.sessions.remove(number_);
  }

 private:
  enum class Stage { reading, answering, writing, parting };

  /// When the time is over, what is under way ends with `operation_aborted`.
  void give_time(std::chrono::seconds time) {
    late_ = false;
    timer_.expires_after(time);
    timer_.async_wait([self = shared_from_this()](Error error) {
      if (error || self->timer_.expiry() > std::chrono::steady_clock::now()) return;
      self->late_ = true;
      Error ignored;
      self->socket_.cancel(ignored);
    });
  }

  // --- the request ---------------------------------------------------------------------------------------

  void on_head(Error error) {
    if (!socket_.is_open()) return;
    if (error == http::error::end_of_stream || (error && !late_ && error.category() != http_category()) ||
        (late_ && buffer_.size() == 0))
      return close();
    if (error) return refuse_unread(error);
    const auto& head = head_->get();
    request_ = {
        .method = std::string{head.method_string()}, .target = std::string{head.target()}, .headers = head};
    call_ = attempt([&] {
      if (request_.target.size() > kMaxTarget)
        throw Refusal{414, "the path and query are longer than 16 KiB"};
      make_origin_form(request_);
      return around_.routes.admit(request_);
    });
    if (!call_) return;
    if (around_.routes.asks_for_token() && call_->needs_workers()) around_.sessions.trust(number_);
    if (!Routes::has_body(request_)) return handle();
    if (lower_case(request_.header("Expect")) == "100-continue") return invite_body();
    read_body();
  }

  /// Runs `action`, or answers with why it refused.
  template <class Action>
  [[nodiscard]] auto attempt(const Action& action) -> std::optional<decltype(action())> {
    try {
      return action();
    } catch (...) {
      Response response;
      set_problem(response, std::current_exception());
      answer(std::move(response));
      return std::nullopt;
    }
  }

  void refuse_unread(Error error) {
    Response response;
    const bool large = error == http::error::header_limit || error == http::error::buffer_overflow;
    if (late_)
      set_problem(response, 408, "the request did not come in time");
    else if (error == http::error::body_limit)
      set_problem(response, 413, around_.routes.too_large());
    else if (large && !body_ && head_->get().target().empty())
      set_problem(response, 414, "the path and query are longer than 16 KiB");
    else if (large)
      set_problem(response, 431, "the headers are larger than 32 KiB altogether");
    else
      set_problem(response, 400, "the request could not be read: " + error.message());
    answer(std::move(response));
  }

  void invite_body() {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    boost::asio::async_write(socket_, boost::asio::buffer(kContinue.data(), kContinue.size()),
                             [self = shared_from_this()](Error error, std::size_t) {
                               if (error) return self->close();
                               self->read_body();
                             });
  }

  void read_body() {
    give_time(kBodyTime);
    body_.emplace(std::move(*head_));
    body_->body_limit(around_.routes.max_body());
    http::async_read(socket_, buffer_, *body_, [self = shared_from_this()](Error error, std::size_t) {
      if (!self->socket_.is_open()) return;
      if (error) return self->refuse_unread(error);
      self->request_.body = std::move(self->body_->get().body());
      self->handle();
    });
  }

  /// Keeps the thread of the sockets alive until a worker has handed over its result.
  [[nodiscard]] auto under_way() { return boost::asio::make_work_guard(socket_.get_executor()); }

  /// What needs no store is answered at once, however busy the workers are.
  void handle() {
    stage_ = Stage::answering;
    timer_.cancel();
    if (!call_->needs_workers()) return answer(around_.routes.answer(*call_, request_));
    around_.sessions.trust(number_);
    Workers& workers = around_.staff.of(call_->work);
    const auto slot = attempt([&] { return workers.requests.take(); });
    if (!slot) return;
    boost::asio::post(workers.threads, [self = shared_from_this(), work = under_way(), slot = *slot] {
      auto response = std::make_shared<Response>(self->around_.routes.answer(*self->call_, self->request_));
      boost::asio::post(self->socket_.get_executor(),
                        [self, response, slot] { self->answer(std::move(*response)); });
    });
  }

  // --- the answer ----------------------------------------------------------------------------------------

  void answer(Response response) {
    if (!around_.sessions.make_room_for(response.body.size())) {
      response = {};
      set_problem(response, 503, "too many clients have not yet taken their answers: try again");
      response.set_header("Retry-After", "5");
    }
    held_bytes_ = response.body.size();
    next_piece_ = std::move(response.next_piece);
    http::response<http::string_body> message{static_cast<http::status>(response.status), 11};
    for (const auto& [name, value] : kDefaultHeaders) message.set(name, value);
    for (const auto& [name, value] : response.headers) message.insert(name, value);
    message.set(http::field::connection, "close");
    if (next_piece_ == nullptr && response.status != 204 && response.status != 304)
      message.content_length(response.body.size());
    chunked_ = next_piece_ != nullptr && head_version_11();
    if (chunked_) message.set(http::field::transfer_encoding, "chunked");
    if (request_.method == "HEAD") next_piece_ = nullptr;
    if (request_.method != "HEAD" && next_piece_ == nullptr) message.body() = std::move(response.body);
    message_ = std::move(message);
    serializer_.emplace(*message_);
    serializer_->limit(kPieceBytes);
    if (next_piece_ != nullptr) serializer_->split(true);
    give_time_to_take();
    write_message();
  }

  /// A client that takes a byte now and then makes no progress.
  void give_time_to_take() {
    stage_ = Stage::writing;
    writing_since_ = Clock::now();
    untaken_ = kPieceBytes;
    give_time(kPieceTime);
  }

  [[nodiscard]] bool head_version_11() const {
    return body_ ? body_->get().version() == 11 : head_->get().version() == 11;
  }

  void write_message() {
    http::async_write_some(socket_, *serializer_, [self = shared_from_this()](Error error, std::size_t took) {
      if (error) return self->close();
      self->untaken_ -= std::min(took, self->untaken_);
      if (self->untaken_ == 0) self->give_time_to_take();
      const bool head_done = self->serializer_->is_header_done();
      if (self->next_piece_ != nullptr && head_done) return self->make_piece();
      if (self->serializer_->is_done()) return self->part();
      self->write_message();
    });
  }

  void make_piece() {
    stage_ = Stage::answering;
    timer_.cancel();
    boost::asio::post(around_.staff.of(Work::list).threads, [self = shared_from_this(), work = under_way()] {
      self->piece_.clear();
      bool more = true;
      bool failed = false;
      try {
        while (more && self->piece_.size() < kPieceBytes) more = self->next_piece_(self->piece_);
      } catch (...) { failed = true; }  // the missing end tells the client
      boost::asio::post(self->socket_.get_executor(), [self, more, failed] {
        if (failed) return self->close();
        self->write_piece(more);
      });
    });
  }

  void write_piece(bool more) {
    give_time_to_take();
    std::string framed;
    if (chunked_ && !piece_.empty()) {
      std::array<char, 16> size{};
      const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", piece_.size());
      framed.append(size.data(), static_cast<std::size_t>(length));
    }
    framed += piece_;
    if (chunked_ && !piece_.empty()) framed += "\r\n";
    if (chunked_ && !more) framed += "0\r\n\r\n";
    piece_ = std::move(framed);
    boost::asio::async_write(socket_, boost::asio::buffer(piece_),
                             [self = shared_from_this(), more](Error error, std::size_t) {
                               if (error) return self->close();
                               if (more) return self->make_piece();
                               self->part();
                             });
  }

  /// Says that nothing more comes, and lets the other side read it: closing at once while it still sends
  /// would make its system throw the answer away.
  void part() {
    stage_ = Stage::parting;
    serializer_.reset();
    message_.reset();
    held_bytes_ = 0;
    Error ignored;
    socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
    give_time(kFarewellTime);
    piece_.resize(kPieceBytes);
    read_rest();
  }

  void read_rest() {
    socket_.async_read_some(boost::asio::buffer(piece_),
                            [self = shared_from_this()](Error error, std::size_t got) {
                              self->rest_ += got;
                              if (error || self->late_ || self->rest_ > std::size_t{16} * 1024 * 1024)
                                return self->close();
                              self->read_rest();
                            });
  }

  [[nodiscard]] static const boost::system::error_category& http_category() {
    return http::make_error_code(http::error::end_of_stream).category();
  }

  static constexpr std::array<std::pair<const char*, const char*>, 4> kDefaultHeaders{
      {{"X-Content-Type-Options", "nosniff"},
       {"Cache-Control", "no-store"},
       {"Referrer-Policy", "no-referrer"},
       {"Cross-Origin-Resource-Policy", "same-origin"}}};

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  Surroundings around_;
  std::uint64_t number_ = 0;
  Stage stage_ = Stage::reading;
  bool late_ = false;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point writing_since_{};
  std::size_t untaken_ = 0;  ///< bytes that the client is to take in its time
  std::size_t held_bytes_ = 0;
  boost::beast::flat_buffer buffer_{2 * kMaxHead};
  std::optional<http::request_parser<http::empty_body>> head_{std::in_place};
  std::optional<http::request_parser<http::string_body>> body_;
  Request request_;
  std::optional<Routes::Call> call_;
  std::optional<http::response<http::string_body>> message_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  std::function<bool(std::string&)> next_piece_;
  bool chunked_ = false;
  std::string piece_;
  std::size_t rest_ = 0;
};

}  // namespace metrics_server
