// SPDX-License-Identifier: MIT
#pragma once

// A thread that follows etcd's stream of changes, through failures of connections and nodes.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/etcd/client.hpp"
#include "kvstore/detail/etcd/connection.hpp"
#include "kvstore/detail/etcd/endpoints.hpp"
#include "kvstore/detail/etcd/gateway.hpp"
#include "kvstore/detail/etcd/verdict.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

struct EtcdEvent {
  std::string_view key;              ///< without the prefix
  std::optional<std::string> value;  ///< none if the key was removed
  std::int64_t revision;
};

/// Follows the keys of the client's prefix, from a revision on, until it is destroyed or cannot continue. A
/// node that hangs says nothing, as does one with nothing to tell: so in quiet times it is asked something.
class EtcdWatcher {
 public:
  using Visit = std::function<void(const EtcdEvent&)>;
  using OnError = std::function<void(const std::exception&)>;

  EtcdWatcher(std::shared_ptr<EtcdClient> client, std::int64_t first_revision, Visit visit, OnError on_error)
      : client_{std::move(client)},
        visit_{std::move(visit)},
        on_error_{std::move(on_error)},
        next_revision_{first_revision},
        thread_{[this](const std::stop_token& stop) { run(stop); }} {
    try {
      probing_thread_ = std::jthread{[this](const std::stop_token& stop) { probe(stop); }};
    } catch (const std::system_error&) { finish(); }  // without it, a node that hangs is noticed late
  }
  EtcdWatcher(const EtcdWatcher&) = delete;
  EtcdWatcher& operator=(const EtcdWatcher&) = delete;

  ~EtcdWatcher() {
    probing_thread_.request_stop();
    thread_.request_stop();
    std::unique_lock lock{mutex_};
    // Repeatedly, since the thread may just be between two connections.
    while (!changed_.wait_for(lock, std::chrono::milliseconds{5}, [this] { return running_ == 0; })) {
      if (connection_ != nullptr) connection_->stop();
      if (probing_ != nullptr) probing_->stop();
    }
  }

 private:
  static constexpr std::chrono::milliseconds kQuiet{2000};

  void run(const std::stop_token& stop) {
    try {
      for (std::size_t failures = 0; !stop.stop_requested();) {
        const bool got_somewhere = follow(stop);
        failures = got_somewhere ? 0 : std::min<std::size_t>(failures + 1, 6);
        pause(stop, std::chrono::milliseconds{5U << failures});  // up to 320 ms
      }
    } catch (const std::exception& error) { report(error); } catch (...) {
      report(Error{"the callback of a watch threw what is no std::exception"});
    }
    finish();
  }

  void finish() {
    const std::scoped_lock lock{mutex_};
    --running_;
    changed_.notify_all();
  }

  /// Exceptions of the handler are swallowed: nobody could catch them.
  void report(const std::exception& error) const noexcept {
    try {
      if (on_error_) on_error_(error);
    } catch (...) {}  // NOLINT(bugprone-empty-catch)
  }

  void pause(const std::stop_token& stop, std::chrono::milliseconds duration) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, stop, duration, [] { return false; });
  }

  /// Follows the stream of one connection to its end. @returns whether etcd accepted the watch
  bool follow(const std::stop_token& stop) {
    const EtcdNodePtr node = client_->endpoints().preferred();
    const std::unique_ptr<EtcdConnection> connection = client_->endpoints().prepared(node->address);
    const EtcdClient::Token token = client_->token();
    received_ = true;  // a new one has a deadline for its first answer
    set_node(node);
    std::optional<Published> published{std::in_place, *this, connection_, *connection};
    text_.clear();
    events_.clear();
    accepted_ = false;
    error_ = nullptr;
    int status = 0;
    const EtcdLimits limits{client_->options().connect_timeout,
                            Deadline::in(client_->options().response_timeout)};
    const EtcdReply reply =
        connection->stream("/v3/watch", token.text, request(), limits, [&](int code, std::string_view bytes) {
          status = code;
          received_ = true;
          const bool goes_on = !stop.stop_requested() && take(code, bytes);
          if (accepted_) {
            connection->go_on();
            client_->observer().success(node->address);
          }
          return goes_on;
        });
    published.reset();
    if (stop.stop_requested()) return accepted_;
    if (error_) std::rethrow_exception(error_);
    if (status != 0 && status != 200) judge_refusal(status);
    if (log_in_) renew_token(token);
    if (log_in_) return accepted_;
    client_->observer().failure(node->address,
                                reply.reason.empty() ? "the watch ended" : "watch: " + reply.reason);
    client_->endpoints().give_up_on(node);
    return accepted_;
  }

  /// While it exists, the thread that ends the watch can end a conversation.
  class Published {
   public:
    Published(EtcdWatcher& watcher, EtcdConnection*& place, EtcdConnection& connection)
        : watcher_{watcher}, place_{place} {
      set(&connection);
    }
    Published(const Published&) = delete;
    Published& operator=(const Published&) = delete;
    ~Published() { set(nullptr); }

   private:
    void set(EtcdConnection* connection) {
      const std::scoped_lock lock{watcher_.mutex_};
      place_ = connection;
    }

    EtcdWatcher& watcher_;
    EtcdConnection*& place_;
  };

  /// Ends the conversation with a node that has been silent for a while and answers nothing else.
  void probe(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pause(stop, std::min(kQuiet, client_->options().response_timeout));
      std::unique_lock lock{mutex_};
      const EtcdConnection* const silent = received_.exchange(false) ? nullptr : connection_;
      const EtcdNodePtr node = node_;
      lock.unlock();
      if (silent == nullptr || stop.stop_requested() || is_alive(*node)) continue;
      lock.lock();
      if (!received_ && connection_ == silent) connection_->stop();
    }
    finish();
  }

  [[nodiscard]] bool is_alive(const EtcdNode& node) {
    try {
      const std::unique_ptr<EtcdConnection> connection = client_->endpoints().prepared(node.address);
      const Published published{*this, probing_, *connection};
      return client_->is_alive(*connection);
    } catch (...) { return true; }  // no memory, no descriptors: the node is not to blame
  }

  void set_node(const EtcdNodePtr& node) {
    const std::scoped_lock lock{mutex_};
    node_ = node;
  }

  [[nodiscard]] std::string request() const {
    std::string fields = range_fields(prefix_range(client_->options().key_prefix));
    append_number_field(fields, "start_revision", next_revision_);
    // Progress messages, which come in quiet times, keep the next revision from being compacted away.
    // Fragments keep a big transaction below the gateway's largest message.
    fields += R"(,"progress_notify":true,"fragment":true)";
    return "{\"create_request\":" + json_object(fields) + "}";
  }

  /// One line is one message. Called from within httplib, which no exception may cross.
  bool take(int status, std::string_view bytes) noexcept {
    try {
      text_ += bytes;
      if (status != 200) return true;  // a single error, which is complete when the answer ends
      std::size_t start = 0;
      for (std::size_t end = 0; (end = text_.find('\n', start)) != std::string::npos; start = end + 1) {
        if (!understand(std::string_view{text_}.substr(start, end - start))) return false;
      }
      text_.erase(0, start);
      return true;
    } catch (...) {
      error_ = std::current_exception();
      return false;
    }
  }

  /// @returns whether to go on reading
  bool understand(std::string_view line) {
    const nlohmann::json message = nlohmann::json::parse(line, nullptr, false);
    if (const nlohmann::json& error = json_member(message, "error"); !error.is_null()) {
      judge(static_cast<int>(json_number(error, "http_code")), json_text(error, "message"));
      return false;
    }
    const nlohmann::json& result = json_member(message, "result");
    if (json_flag(result, "canceled")) {
      cancelled(result);
      return false;
    }
    accepted_ = true;
    if (json_flag(result, "created")) return true;
    logged_in_ = false;  // the token is good
    collect(result);
    return true;
  }

  /// A revision's events may arrive in pieces. They are shown once all have arrived, so that a restart at the
  /// next revision neither misses nor repeats one.
  void collect(const nlohmann::json& result) {
    const nlohmann::json& events = json_member(result, "events");
    for (const nlohmann::json& event : events) events_.push_back(event);
    if (json_flag(result, "fragment")) return;
    for (const nlohmann::json& event : std::exchange(events_, {})) show(event);
    // Without events the message reports progress: all revisions up to here have been shown.
    next_revision_ = std::max(next_revision_, events.empty() ? answered_revision(result) + 1 : shown_ + 1);
  }

  void show(const nlohmann::json& event) {
    const nlohmann::json& entry = json_member(event, "kv");
    const std::string key = json_bytes(entry, "key");
    EtcdEvent shown{std::string_view{key}.substr(client_->options().key_prefix.size()), std::nullopt,
                    json_number(entry, "mod_revision")};
    if (json_text(event, "type") != "DELETE") shown.value = json_bytes(entry, "value");
    visit_(shown);
    shown_ = shown.revision;
  }

  void cancelled(const nlohmann::json& result) {
    if (const std::int64_t oldest = json_number(result, "compact_revision"); oldest != 0) {
      throw ServerError{client_->name() + ": cannot watch from revision " + std::to_string(next_revision_) +
                        " on, etcd has compacted its history up to revision " + std::to_string(oldest) +
                        "; read everything anew, and watch from there"};
    }
    judge(0, json_text(result, "cancel_reason"));
  }

  void judge_refusal(int status) {
    const nlohmann::json parsed = nlohmann::json::parse(text_, nullptr, false);
    const EtcdVerdict verdict = judge_answer(status, parsed, text_);
    judge(status, verdict.reason);
  }

  /// Continues elsewhere, or with a new token, or throws.
  void judge(int status, const std::string& reason) {
    const bool denied = reason.find("permission denied") != std::string::npos;  // an old token gets this, too
    const EtcdVerdict verdict = judge_error(status, reason);
    if (verdict.outcome == EtcdOutcome::token_expired || denied) {
      if (!client_->has_user() || logged_in_) throw ServerError{client_->name() + ": " + reason};
      log_in_ = true;
    } else if (verdict.outcome == EtcdOutcome::refused) {
      throw ServerError{client_->name() + ": " + reason};
    }
  }

  void renew_token(const EtcdClient::Token& used) {
    try {
      client_->log_in(used.number,
                      client_->options().connect_timeout);  // whoever ends the watch waits for it
      logged_in_ = true;
      log_in_ = false;
    } catch (const UnavailableError&) {}  // requested again after a pause
  }

  const std::shared_ptr<EtcdClient> client_;
  const Visit visit_;
  const OnError on_error_;

  // Used by the thread only.
  std::int64_t next_revision_;          // the first one not yet shown
  std::int64_t shown_ = 0;              // the last one shown
  std::string text_;                    // the beginning of an incomplete line
  std::vector<nlohmann::json> events_;  // of an incomplete message
  bool accepted_ = false;
  bool log_in_ = false;     // the token must be renewed
  bool logged_in_ = false;  // the token was renewed, and nothing has arrived since
  std::exception_ptr error_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  EtcdConnection* connection_ = nullptr;  // guarded by mutex_
  EtcdNodePtr node_;                      // of that connection
  EtcdConnection* probing_ = nullptr;     // guarded by mutex_
  int running_ = 2;                       // threads; guarded by mutex_
  std::atomic<bool> received_ = false;    // something, since it was last looked at

  std::jthread thread_;  // last: they use all of the above
  std::jthread probing_thread_;
};

}}}  // namespace kvstore::v1::detail
