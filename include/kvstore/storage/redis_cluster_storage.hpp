// SPDX-License-Identifier: MIT
#pragma once

// A Redis Cluster as a storage: a store at memory speed whose saves are replicated, and which another machine
// can take over. Needs hiredis; not part of kvstore/kvstore.hpp.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/base/random_bits.hpp"
#include "kvstore/detail/redis/cluster.hpp"
#include "kvstore/detail/redis/pipeline.hpp"
#include "kvstore/detail/redis/reply.hpp"
#include "kvstore/detail/redis/slot.hpp"
#include "kvstore/detail/redis/store_keys.hpp"
#include "kvstore/detail/redis/store_loader.hpp"
#include "kvstore/detail/redis/verdict.hpp"
#include "kvstore/detail/remote/deadline.hpp"
#include "kvstore/error.hpp"
#include "kvstore/redis_cluster_options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// Keeps a store in one Redis hash, so in one slot, on one leader and its replicas: `HGETALL
/// "{name}:entries"` shows it. To spread data over several leaders, use `RedisClusterKeyValueStore`.
///
/// A save is one script, atomic for readers and across failures of the client. It is as durable as the
/// servers make it: with `RedisClusterOptions::replicas` = n it returns once n replicas have it too. Whether
/// it is on a disk depends on their `appendfsync`.
///
/// *Ownership*: the owner holds a lease, which it renews; saves are accepted from the owner only. Another
/// process gets `LockedError` while the lease lasts; after a crash, any process may take over once the lease
/// has expired. If a process was cut off for so long that another has taken over, its next save throws
/// `LockedError` and changes nothing.
///
/// *Complexity*: a save costs O(changes). A reader loads by one HGETALL, which keeps that server busy for
/// about a second per million entries.
///
/// ```cpp
/// kvstore::BatchPersistentKeyValueStore<std::string, int> store{
///     std::make_unique<kvstore::RedisClusterStorage>(
///         kvstore::RedisClusterOptions{.seeds = {"127.0.0.1:7001"}, .replicas = 1}, "ages")};
/// ```
class RedisClusterStorage final : public Storage {
 public:
  /// `name` is that of the store; `lease` is the time for which its owner may be silent before another
  /// process may take over. @throws UsageError; UnavailableError; ServerError
  RedisClusterStorage(RedisClusterOptions options, std::string_view name,
                      std::chrono::milliseconds lease = std::chrono::seconds{10})
      : keys_{options.key_prefix, name},
        slot_{detail::redis_slot(keys_.entries)},
        lease_{lease},
        writer_{new_writer()},
        cluster_{std::move(options)},
        path_{cluster_.name() + '/' + keys_.entries} {
    if (lease_ < std::chrono::milliseconds{100}) {
      throw UsageError{"RedisClusterStorage: a lease takes at least 100 ms"};
    }
  }

  ~RedisClusterStorage() override {
    renewer_.reset();
    if (!tried_to_acquire_ || home_.is_foreign_by_id()) return;
    if (unreachable_) return;  // the lease then expires
    try {
      run_script(detail::kRedisRelease, {keys_.lock}, {writer_}, detail::Deadline::in(lease_));
    } catch (const std::exception&) {}  // the same
  }

  void load(const LoadRequest& request, LoadSink& sink) override {
    translated([&] {
      const bool exclusive = request.purpose == LoadPurpose::exclusive;
      if (exclusive) acquire();
      const detail::RedisReply meta = run(
          detail::redis_wrote::kNever, {"HMGET", keys_.meta, "format", "schema", "save", "writer", "count"});
      intact_ = true;
      detail::check_redis_answer(detail::is_array(*meta, 5), path_, "HMGET");
      if (detail::is_nil(*meta->element[0]) && detail::is_nil(*meta->element[3])) {
        sink.missing(path_, request);  // no process has ever owned a store of that name
      }
      check_format(detail::text_of(*meta->element[0]));
      if (!detail::is_nil(*meta->element[1])) sink.schema_version(number_of(*meta->element[1]));
      last_ = detail::text_of(*meta->element[2]);
      const detail::RedisReply count = run(detail::redis_wrote::kNever, {"HLEN", keys_.entries});
      sink.expect(static_cast<std::uint64_t>(count->integer) * kGuess);
      const detail::RedisStoreLoader loader{cluster_, keys_, path_};
      const std::size_t entries = exclusive ? loader.scan(sink) : loader.read_at_once(sink);
      loader.check_count(detail::text_of(*meta->element[4]), last_, entries);
      sink.finish();
    });
  }

  /// Nothing has changed if there was no save since.
  bool load_changes(LoadSink&) override {
    return translated([&] {
      const detail::RedisReply last = run(detail::redis_wrote::kNever, {"HGET", keys_.meta, "save"});
      return detail::text_of(*last) == last_;
    });
  }

  /// Everything after a failed save, or after a save found that the servers had lost earlier data.
  [[nodiscard]] SaveScope scope() const noexcept override {
    return intact_ ? SaveScope::changes : SaveScope::everything;
  }

  /// @throws LockedError if another process has taken over; StorageError. If the message says that the
  /// outcome is unknown, a `load` finds the old entries or the new ones, and the next save settles which.
  void save(ChangeSource& source) override {
    translated([&] {
      if (replaced_) throw_locked(*replaced_);
      if (!acquired_) acquire();
      intact_ = false;
      ++saves_;
      const std::string schema = std::to_string(source.schema_version());
      source.scope() == SaveScope::everything ? save_everything(source, schema)
                                              : save_changes(source, schema);
      intact_ = true;
    });
  }

  [[nodiscard]] bool keeps_schema_version() const noexcept override { return true; }

  /// Not a file: `redis://HOST:PORT/KEY`, for messages.
  [[nodiscard]] std::filesystem::path path() const override { return path_; }

 private:
  using Text = std::string_view;
  static constexpr std::size_t kGuess = 100;  // bytes of an entry
  static constexpr std::size_t kPartBytes = std::size_t{1} << 20;
  static constexpr std::size_t kPartEntries = 10'000;

  /// Data to be sent at once: the texts of a command, which outlive the source's views.
  struct Part {
    std::vector<std::string> texts{};
    std::size_t bytes = 0;

    void add(Text text) {
      bytes += text.size();
      texts.emplace_back(text);
    }
    [[nodiscard]] bool full() const noexcept {
      return bytes >= kPartBytes || texts.size() >= 3 * kPartEntries;
    }
  };

  /// `PID@HOST-RANDOM`, which is unique.
  [[nodiscard]] static std::string new_writer() {
    std::string host(256, '\0');
    if (::gethostname(host.data(), host.size() - 1) != 0) host = "unknown";
    return std::to_string(::getpid()) + '@' + host.c_str() + '-' + std::to_string(detail::random_bits());
  }

  /// Translates errors of the cluster into those of a storage.
  template <class Work>
  auto translated(const Work& work) -> decltype(work()) {
    try {
      return work();
    } catch (const UnavailableError& error) { fail(error); } catch (const ServerError& error) {
      fail(error);
    } catch (const OutcomeUnknownError& error) { fail(error); } catch (const ReplicationError& error) {
      fail(error);
    }
  }
  [[noreturn]] void fail(const Error& error) const { throw StorageError{path_, {}, error.what()}; }

  detail::RedisReply run(detail::RedisWrote wrote, const std::vector<Text>& arguments) {
    return run(wrote, arguments, detail::Deadline::in(cluster_.options().timeout));
  }
  detail::RedisReply run(detail::RedisWrote wrote, const std::vector<Text>& arguments,
                         const detail::Deadline& until) {
    return cluster_.run(detail::RedisCommand{slot_, wrote, arguments}, until);
  }
  detail::RedisReply run_script(Text script, const std::vector<Text>& keys,
                                const std::vector<Text>& arguments) {
    return run_script(script, keys, arguments, detail::Deadline::in(cluster_.options().timeout));
  }
  detail::RedisReply run_script(Text script, const std::vector<Text>& keys,
                                const std::vector<Text>& arguments, const detail::Deadline& until) {
    const std::string count = std::to_string(keys.size());
    std::vector<Text> all{"EVAL", script, count};
    all.insert(all.end(), keys.begin(), keys.end());
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(detail::redis_wrote::kUnlessRefused, all, until);
  }

  // --- ownership ---

  void acquire() {
    const std::string lease = std::to_string(lease_.count());
    home_ = {};
    check_keeps_keys();
    tried_to_acquire_ = true;
    const detail::RedisReply reply =
        run_script(detail::kRedisAcquire, {keys_.lock, keys_.meta}, {writer_, lease});
    if (!detail::is_array(*reply, 1)) throw_locked(detail::text_of(*reply));
    acquired_ = true;
    if (!renewer_) renewer_.emplace([this](const std::stop_token& stop) { renew(stop); });
    staged_ = detail::text_of(*reply->element[0]);  // by a writer that died; the next save clears it away
  }

  void renew(const std::stop_token& stop) {
    const std::string lease = std::to_string(lease_.count());
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock{mutex};
    while (!wake.wait_for(lock, stop, lease_ / 3, [&] { return stop.stop_requested(); })) {
      try {
        run_script(detail::kRedisRenew, {keys_.lock, keys_.meta}, {writer_, lease},
                   detail::Deadline::in(lease_ / 3));
        unreachable_ = false;
      } catch (const std::exception&) {  // if it lasts longer than a moment, a save will report it
        unreachable_ = true;
      }
    }
  }

  // `owner` is PID@HOST-RANDOM.
  [[noreturn]] void throw_locked(Text owner) const {
    const std::string process{owner.substr(0, owner.find('@'))};
    const std::string host{owner.substr(std::min(owner.find('@'), owner.size()))};
    throw LockedError::by(path_, std::strtol(process.c_str(), nullptr, 10),
                          "by process " + process + " on host " + host.substr(1, host.rfind('-') - 1));
  }

  /// Runs a script that saves on top of the save with stamp `base`.
  void save_by(Text script, const std::string& schema, Text base, std::size_t elements,
               const std::vector<Text>& keys, const std::vector<Text>& more = {}) {
    const std::string whole =
        std::string{detail::kRedisSaveStart}.append(script).append(detail::kRedisSaveEnd);
    const std::string number = std::to_string(saves_);
    const std::string count = std::to_string(elements);
    std::vector<Text> arguments{writer_, schema, base, number, count};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const detail::RedisReply reply = run_script(whole, keys, arguments);
    if (reply->integer == 1) {
      last_ = writer_ + '/' + number;
      staged_.clear();
      return;
    }
    if (reply->integer < 0) {
      throw StorageError{path_, {}, "the servers have lost what was saved; the next save writes everything"};
    }
    const detail::RedisReply owner = run(detail::redis_wrote::kNever, {"HGET", keys_.meta, "writer"});
    replaced_ = detail::text_of(*owner);
    throw_locked(*replaced_);
  }

  // --- loading ---

  void check_format(Text format) const {
    if (format.empty() || format == detail::kRedisStoreFormat) return;
    throw StorageError{path_,
                       {},
                       "has format version " + std::string{format} + ", and this program knows version " +
                           std::string{detail::kRedisStoreFormat} + "; open it with a newer program"};
  }

  [[nodiscard]] std::uint32_t number_of(const redisReply& reply) const {
    return static_cast<std::uint32_t>(std::strtoul(std::string{detail::text_of(reply)}.c_str(), nullptr, 10));
  }

  /// A server that evicts keys loses a store as a whole. Whoever may not ask is believed.
  void check_keeps_keys() {
    std::string info;
    try {
      info = detail::text_of(*run(detail::redis_wrote::kNever, {"INFO", "memory"}));
    } catch (const ServerError&) { return; }
    const std::size_t policy = info.find("maxmemory_policy:allkeys-");
    if (policy == std::string::npos || info.find("maxmemory:0\r") != std::string::npos) return;
    throw StorageError{path_,
                       {},
                       "its server evicts any key when its memory is full (" +
                           info.substr(policy, info.find('\r', policy) - policy) +
                           "), and this store is one key; set maxmemory-policy to noeviction or volatile-…"};
  }

  // --- saving ---

  void save_changes(ChangeSource& source, const std::string& schema) {
    Part part;
    std::size_t elements = 0;
    for (Change change; source.next(change);) {
      if (part.full()) {
        if (elements == 0) stage();
        elements += send("RPUSH", part);
      }
      part.add(change.value ? "s" : "d");
      part.add(change.key);
      part.add(change.value.value_or(Text{}));
    }
    if (elements == 0) {
      if (!staged_.empty())
        run(detail::redis_wrote::kIfCounted,
            {"UNLINK", staged_});  // left by a save that failed, or whose owner died
      return save_by(detail::kRedisSaveChanges, schema, last_, 0, {keys_.meta, keys_.entries},
                     {part.texts.begin(), part.texts.end()});
    }
    if (!part.texts.empty()) elements += send("RPUSH", part);
    save_by(detail::kRedisSaveStagedChanges, schema, last_, elements, {keys_.meta, keys_.entries, staged_});
  }

  void save_everything(ChangeSource& source, const std::string& schema) {
    Part part;
    std::size_t elements = 0;
    stage();
    for (Change change; source.next(change);) {
      part.add(change.key);
      part.add(change.value.value_or("null"));
      if (part.full()) elements += send("HSET", part);
    }
    if (!part.texts.empty()) elements += send("HSET", part);
    save_by(detail::kRedisSaveEverything, schema, "any", elements / 2, {keys_.meta, keys_.entries, staged_});
  }

  /// Chooses the key in which this save collects its parts, and clears away the remains of an earlier save.
  /// No other save used this key, so parts of an earlier one cannot arrive late.
  void stage() {
    const std::string left = std::exchange(staged_, keys_.staged(writer_, std::to_string(saves_)));
    run(detail::redis_wrote::kAlways, {"HSET", keys_.meta, "staged", staged_});
    if (!left.empty()) run(detail::redis_wrote::kIfCounted, {"UNLINK", left});
  }

  /// Sends the collected part, and empties it. @returns the number of elements sent
  std::size_t send(Text command, Part& part) {
    std::vector<Text> arguments{command, staged_};
    arguments.insert(arguments.end(), part.texts.begin(), part.texts.end());
    run(detail::redis_wrote::kAlways, arguments);
    return std::exchange(part, Part{}).texts.size();
  }

  const detail::RedisStoreKeys keys_;
  const std::uint16_t slot_;
  const std::chrono::milliseconds lease_;
  const std::string writer_;
  detail::RedisCluster cluster_;
  const std::filesystem::path path_;
  std::atomic<bool> unreachable_ = false;  // at the last renewal
  bool tried_to_acquire_ = false;
  bool acquired_ = false;
  bool intact_ = true;  // as far as is known, the stored data are those of the last load or save
  std::optional<std::string> replaced_;         // by this writer, for good
  std::string last_;                            // stamp of the save that was loaded or made last
  std::string staged_;                          // the key that has, or may have, parts of a save
  std::uint64_t saves_ = 0;                     // attempted
  detail::ForkGuard home_;                      // of the owning process
  detail::LeftToParent<std::jthread> renewer_;  // last: ends before the members it uses
};

}}  // namespace kvstore::v1
