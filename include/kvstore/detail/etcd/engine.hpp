// SPDX-License-Identifier: MIT
#pragma once

// The verbs as transactions of etcd, on text.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/etcd/client.hpp"
#include "kvstore/detail/etcd/gateway.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/error.hpp"
#include "kvstore/etcd_options.hpp"
#include "kvstore/remote_metrics.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Each verb is one request, so that etcd makes it atomic. Reads are linearizable, which is etcd's default:
/// before a node answers, it asks the others whether it is up to date.
class EtcdEngine {
 public:
  using Text = std::string_view;

  explicit EtcdEngine(EtcdOptions options) : client_{std::make_shared<EtcdClient>(std::move(options))} {}

  [[nodiscard]] RemoteMetrics metrics() { return client_->metrics(); }

  bool create(Text key, Text value) { return put_if(key, value, Before::absent); }
  bool update(Text key, Text value) { return put_if(key, value, Before::present); }

  /// `life` in whole seconds, rounded up; etcd makes it longer than its elections take.
  bool create_for(Text key, Text value, std::chrono::milliseconds life) {
    return put_leased(key, value, life,
                      [](EtcdTransaction& it, const std::string& full) { it.require(full, Before::absent); });
  }
  bool extend_if(Text key, Text value, std::chrono::milliseconds life) {
    return put_leased(key, value, life,
                      [&](EtcdTransaction& it, const std::string& full) { it.require_value(full, value); });
  }

  /// A plain put, which costs etcd less than a transaction with a count; it answers with the previous entry.
  bool upsert(Text key, Text value) {
    const std::string full = full_key(key);
    check_size(full.size() + value.size() + EtcdTransaction::kFraming, key);
    std::string fields;
    append_bytes_field(fields, "key", full);
    append_bytes_field(fields, "value", value);
    const nlohmann::json answer = call_write("/v3/kv/put", json_object(fields += ",\"prev_kv\":true"));
    return json_member(answer, "prev_kv").is_null();
  }

  bool remove(Text key) {
    const nlohmann::json answer = call_write("/v3/kv/deleterange", json_object(key_fields(key)));
    return understand_write(answer, [](const nlohmann::json& it) { return json_number(it, "deleted") != 0; });
  }

  std::optional<std::string> read(Text key) {
    const nlohmann::json answer = call_read(json_object(key_fields(key)));
    return understand(answer, value_of);
  }

  std::vector<std::optional<std::string>> read_many(std::span<const std::string> keys) {
    std::vector<std::optional<std::string>> values;
    values.reserve(keys.size());
    while (!keys.empty()) {
      const auto some = keys.first(std::min(keys.size(), options().max_operations));
      keys = keys.subspan(some.size());
      read_together(some, values);
    }
    return values;
  }

  bool contains(Text key) { return count(key_fields(key)) != 0; }

  RemoteExchange replace_if(Text key, Text expected, Text desired) {
    EtcdTransaction transaction;
    const std::string full = full_key(key);
    transaction.require_value(full, expected);
    transaction.replace(full, desired);
    transaction.otherwise_read(full);
    const nlohmann::json answer = write(transaction, key);
    if (json_flag(answer, "succeeded")) return {true, {}};
    return {false,
            understand(answer, [](const nlohmann::json& it) { return value_of(range_answer(it, 0)); })};
  }

  [[nodiscard]] BatchLimit batch_limit() const {
    constexpr std::size_t kFraming = EtcdTransaction::kFraming;
    BatchLimit limit;
    limit.entries = std::min(limit.entries, options().max_operations);
    limit.bytes =
        std::min(limit.bytes, options().max_request_bytes - std::min(options().max_request_bytes, kFraming));
    limit.framing = options().key_prefix.size() + kFraming;
    return limit;
  }

  const RemoteChange* apply(std::span<const RemoteChange> changes) {
    const std::size_t limit = options().max_operations;
    if (changes.size() > limit) {
      throw ValueError{"a batch that changes " + std::to_string(changes.size()) + " keys is more than the " +
                       std::to_string(limit) +
                       " operations of a transaction (EtcdOptions::max_operations, "
                       "etcd's --max-txn-ops); it was not sent"};
    }
    EtcdTransaction transaction;
    for (const RemoteChange& change : changes) add(transaction, change);
    const nlohmann::json answer =
        write(transaction, changes.size() == 1 ? Text{changes[0].key} : Text{}, changes.size());
    if (json_flag(answer, "succeeded")) return nullptr;
    return understand(answer, [&](const nlohmann::json& it) { return refused(changes, it); });
  }

  void for_each(FunctionRef<void(Text, Text)> visit) { read_prefix({}, SIZE_MAX, visit); }

  void read_prefix(Text begin, std::size_t limit, FunctionRef<void(Text, Text)> visit) {
    EtcdRange range = prefix_range(options().key_prefix + std::string{begin});
    std::int64_t revision = 0;
    std::size_t left = limit;
    for (PageSize size{options().page_size}; left != 0;) {
      const std::size_t asked = std::min(size.get(), left);
      left -= asked;
      std::string fields = range_fields(range);
      append_number_field(fields, "limit", static_cast<std::int64_t>(asked));
      // The revision at which the first page was read, so that all pages are of one moment.
      if (revision != 0) append_number_field(fields, "revision", revision);
      const nlohmann::json page = call_read(json_object(fields));
      if (revision == 0) revision = understand(page, answered_revision);
      const std::string last = visit_page(page, visit, size);
      if (!json_flag(page, "more") || last.empty()) return;
      range.first = last + '\0';
    }
  }

  std::size_t size() { return count(range_fields(prefix_range(options().key_prefix))); }

  bool empty() {
    std::string fields = range_fields(prefix_range(options().key_prefix));
    append_number_field(fields, "limit", 1);
    return json_member(call_read(json_object(fields += ",\"keys_only\":true")), "kvs").empty();
  }

  /// One request, which takes etcd longer the more entries there are: it may take all of `timeout`.
  void clear() {
    (void)call_write("/v3/kv/deleterange", json_object(range_fields(prefix_range(options().key_prefix))),
                     EtcdRequest::long_write);
  }

  /// `etcd at HOST:PORT, ... (PREFIX)`
  [[nodiscard]] std::string name() const {
    return client_->name() + (options().key_prefix.empty() ? "" : " (" + options().key_prefix + ")");
  }

  /// The current revision of the data.
  [[nodiscard]] std::int64_t revision() {
    std::string fields = range_fields(prefix_range(options().key_prefix));
    const nlohmann::json answer = call_read(json_object(fields += ",\"count_only\":true"));
    return understand(answer, answered_revision);
  }

  [[nodiscard]] const std::shared_ptr<EtcdClient>& client() const noexcept { return client_; }

 private:
  /// How many entries to ask for at once: so many that a page has some megabytes, by the size of those that
  /// came, and twice as many as before at most. A page of huge values would take longer than a request may.
  class PageSize {
   public:
    explicit PageSize(std::size_t most) : most_{most}, size_{std::min(kFirst, most)} {}

    [[nodiscard]] std::size_t get() const noexcept { return size_; }
    void add(std::size_t bytes) noexcept {
      ++entries_;
      bytes_ += bytes;
    }
    void end_page() noexcept {
      const std::size_t fitting =
          entries_ == 0 ? most_ : kBytes * entries_ / std::max<std::size_t>(bytes_, 1);
      size_ = std::clamp<std::size_t>(std::min(fitting, 2 * size_), 1, most_);
      entries_ = bytes_ = 0;
    }

   private:
    static constexpr std::size_t kFirst = 16;
    static constexpr std::size_t kBytes = std::size_t{4} << 20;

    std::size_t most_;
    std::size_t size_;
    std::size_t entries_ = 0;  // of the page
    std::size_t bytes_ = 0;
  };

  [[nodiscard]] const EtcdOptions& options() const noexcept { return client_->options(); }

  /// In one transaction; in two if their answer would be too large for one.
  void read_together(std::span<const std::string> keys, std::vector<std::optional<std::string>>& values) {
    EtcdTransaction transaction;
    for (const std::string& key : keys) transaction.read(full_key(key));
    nlohmann::json answer;
    try {
      answer = client_->call("/v3/kv/txn", transaction.text(), EtcdRequest::read);
    } catch (const ServerError& error) {
      if (keys.size() == 1 ||
          std::string_view{error.what()}.find("larger than max") == std::string_view::npos)
        throw;
      read_together(keys.first(keys.size() / 2), values);
      return read_together(keys.subspan(keys.size() / 2), values);
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      values.push_back(
          understand(answer, [&](const nlohmann::json& it) { return value_of(range_answer(it, i)); }));
    }
  }

  [[nodiscard]] std::string full_key(Text key) const {
    std::string full = options().key_prefix;
    full += key;
    if (full.empty()) throw ValueError{"etcd has no empty key; set EtcdOptions::key_prefix to have one"};
    return full;
  }
  [[nodiscard]] std::string key_fields(Text key) const { return range_fields({full_key(key), {}}); }

  nlohmann::json call_read(const std::string& body) {
    return client_->call("/v3/kv/range", body, EtcdRequest::read);
  }
  /// What etcd has done, it does at a revision; an answer without one is not from etcd.
  nlohmann::json call_write(const std::string& path, const std::string& body,
                            EtcdRequest kind = EtcdRequest::write) {
    nlohmann::json answer = client_->call(path, body, kind);
    if (understand_write(answer, answered_revision) == 0)
      throw OutcomeUnknownError{misunderstood(ParseError{0, "expected a revision"})};
    return answer;
  }

  bool put_if(Text key, Text value, Before before) {
    EtcdTransaction transaction;
    const std::string full = full_key(key);
    transaction.require(full, before);
    transaction.put(full, value);
    return json_flag(write(transaction, key), "succeeded");
  }

  /// Puts the entry under a lease of its own, if a condition holds. A lease that is left behind ends by
  /// itself; the one before is not revoked, as other programs may have entries under it.
  template <class Require>
  bool put_leased(Text key, Text value, std::chrono::milliseconds life, const Require& require) {
    const std::string full = full_key(key);
    const auto under = [&](std::int64_t lease) {
      EtcdTransaction transaction;
      require(transaction, full);
      transaction.put(full, value, lease);
      return transaction;
    };
    check_size(under(1).bytes(), key);  // before there is a lease
    const std::int64_t lease = grant(life);
    const bool done = json_flag(write_leased(under(lease), key), "succeeded");
    if (!done) revoke(lease);
    return done;
  }
  nlohmann::json write_leased(const EtcdTransaction& transaction, Text key) {
    try {
      return write(transaction, key);
    } catch (const ServerError& error) {
      if (std::string_view{error.what()}.find("requested lease not found") == std::string_view::npos) throw;
      throw UnavailableError{name() + ": the life of key " + printable(key, "\"") +
                             " was over before it could be written; nothing was changed"};
    }
  }
  [[nodiscard]] std::int64_t grant(std::chrono::milliseconds life) {
    std::string fields;
    append_number_field(fields, "TTL", std::chrono::ceil<std::chrono::seconds>(possible_life(life)).count());
    const nlohmann::json answer = client_->call("/v3/lease/grant", json_object(fields), EtcdRequest::read);
    const std::int64_t lease =
        understand(answer, [](const nlohmann::json& it) { return json_number(it, "ID"); });
    if (lease == 0) throw ServerError{misunderstood(ParseError{0, "expected a lease"})};
    return lease;
  }
  void revoke(std::int64_t lease) {
    std::string fields;
    append_number_field(fields, "ID", lease);
    client_->try_once("/v3/lease/revoke", json_object(fields));  // otherwise it ends by itself
  }

  void add(EtcdTransaction& transaction, const RemoteChange& change) const {
    const std::string full = full_key(change.key);
    transaction.require(full, change.before);
    // One count for each condition, so that a refusal names the key: never more than the limit.
    if (change.before != Before::any) transaction.otherwise_count(full);
    change.value ? transaction.put(full, *change.value) : transaction.remove(full);
  }

  [[nodiscard]] static const RemoteChange* refused(std::span<const RemoteChange> changes,
                                                   const nlohmann::json& answer) {
    std::size_t i = 0;
    for (const RemoteChange& change : changes) {
      if (change.before == Before::any) continue;
      const bool is_there = count_of(range_answer(answer, i++)) != 0;
      if (is_there != (change.before == Before::present)) return &change;
    }
    throw ParseError{0, "expected to see which condition of the refused batch does not hold"};
  }

  /// Carries out a transaction that changes `keys` keys; if it is only one, `key` is that key.
  nlohmann::json write(const EtcdTransaction& transaction, Text key, std::size_t keys = 1) {
    check_size(transaction.bytes(), key, keys);
    return call_write("/v3/kv/txn", transaction.text());
  }

  void check_size(std::size_t bytes, Text key, std::size_t keys = 1) const {
    const std::size_t limit = options().max_request_bytes;
    if (bytes <= limit) return;
    const std::string what = keys == 1 ? "the change of key " + printable(key, "\"")
                                       : "a batch that changes " + std::to_string(keys) + " keys";
    throw ValueError{
        what + " takes " + std::to_string(bytes) + " bytes, more than the " + std::to_string(limit) +
        " of a request (EtcdOptions::max_request_bytes, etcd's --max-request-bytes); it was not sent"};
  }

  std::size_t count(std::string fields) {
    fields += ",\"count_only\":true";
    const nlohmann::json answer = call_read(json_object(fields));
    return understand(answer, count_of);
  }

  [[nodiscard]] static std::size_t count_of(const nlohmann::json& range) {
    return static_cast<std::size_t>(json_number(range, "count"));
  }

  [[nodiscard]] static std::optional<std::string> value_of(const nlohmann::json& range) {
    const nlohmann::json& entries = json_member(range, "kvs");
    if (!entries.is_array() || entries.empty()) return std::nullopt;
    return json_bytes(entries[0], "value");
  }

  /// Shows every entry of a page. @returns the last key, with its prefix; empty if there is none
  std::string visit_page(const nlohmann::json& page, FunctionRef<void(Text, Text)> visit,
                         PageSize& size) const {
    std::string key;
    const std::size_t prefix = options().key_prefix.size();
    const nlohmann::json& entries = json_member(page, "kvs");
    for (const nlohmann::json& entry : entries) {
      key = understand(entry, [](const nlohmann::json& it) { return json_bytes(it, "key"); });
      const std::string value =
          understand(entry, [](const nlohmann::json& it) { return json_bytes(it, "value"); });
      size.add(key.size() + value.size());
      visit(Text{key}.substr(prefix), value);
    }
    size.end_page();
    return key;
  }

  /// Reads from the answer to a request that changed nothing; a malformed answer did not come from etcd.
  template <class Parse>
  [[nodiscard]] std::invoke_result_t<Parse, const nlohmann::json&> understand(const nlohmann::json& answer,
                                                                              Parse parse) const {
    try {
      return parse(answer);
    } catch (const ParseError& error) { throw ServerError{misunderstood(error)}; }
  }
  /// The same for a request that may have changed something.
  template <class Parse>
  [[nodiscard]] std::invoke_result_t<Parse, const nlohmann::json&> understand_write(
      const nlohmann::json& answer, Parse parse) const {
    try {
      return parse(answer);
    } catch (const ParseError& error) { throw OutcomeUnknownError{misunderstood(error)}; }
  }
  [[nodiscard]] std::string misunderstood(const ParseError& error) const {
    return name() + ": its answer is not what etcd says: " + error.what();
  }

  std::shared_ptr<EtcdClient> client_;
};

}}}  // namespace kvstore::v1::detail
