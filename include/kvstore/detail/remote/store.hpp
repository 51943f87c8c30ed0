// SPDX-License-Identifier: MIT
#pragma once

// The verbs of stores whose entries are on servers, written once, over an engine that knows only text.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kvstore/codec.hpp"
#include "kvstore/detail/base/callback.hpp"
#include "kvstore/detail/base/key_range.hpp"
#include "kvstore/detail/base/lookup.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/codec/missing.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/detail/remote/batch.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/error.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/remote_metrics.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The base of such stores. No lock is held while a callback runs, so callbacks may call the store.
template <class Key, class Value, class Engine>
class RemoteStore {
 public:
  using key_type = Key;
  using mapped_type = Value;
  using engine_type = Engine;
  using Batch = WriteBatch<Key, Value>;
  /// The key type of lookups: `std::string_view` for string keys, otherwise `const Key&`.
  using LookupKey = detail::LookupKey<Key, Hash<Key>>;

  RemoteStore(const RemoteStore&) = delete;
  RemoteStore& operator=(const RemoteStore&) = delete;

  /// Adds an entry. @throws DuplicateKeyError; ValueError if it could not be read back.
  void create(LookupKey key, const Value& value) {
    if (!try_create(key, value)) throw DuplicateKeyError{KeyText<Key>::for_message(key)};
  }
  /// Adds an entry unless the key exists. @returns whether it was added.
  bool try_create(LookupKey key, const Value& value) {
    return engine_->create(KeyBytes{key}.text(), ValueBytes{value}.text());
  }

  /// The value. @throws KeyNotFoundError; CorruptionError if the stored text is not a `Value`.
  [[nodiscard]] Value read(LookupKey key) const {
    if (std::optional<Value> value = try_read(key)) return *std::move(value);
    throw_not_found(key);
  }
  /// The value, or nothing if the key does not exist.
  [[nodiscard]] std::optional<Value> try_read(LookupKey key) const {
    const std::optional<std::string> text = engine_->read(KeyBytes{key}.text());
    if (!text) return std::nullopt;
    return decode(key, *text);
  }

  /// The values of many keys, in their order: `read_many(keys)`, or `read_many({"a", "b"})`; nothing for keys
  /// that do not exist. *Complexity*: on Redis one round trip, to all nodes at once, and no point in time; on
  /// etcd one for each `EtcdOptions::max_operations` keys, which are of one moment.
  template <detail::KeyRange<Key, LookupKey> Keys = std::initializer_list<std::remove_cvref_t<LookupKey>>>
  [[nodiscard]] std::vector<std::optional<Value>> read_many(const Keys& keys) const {
    std::vector<std::string> texts;
    for (const auto& key : keys) texts.emplace_back(KeyBytes{key}.text());
    const std::vector<std::optional<std::string>> found = engine_->read_many(texts);
    std::vector<std::optional<Value>> values(texts.size());
    std::size_t at = 0;
    for (const auto& key : keys) {
      if (found[at]) values[at].emplace(decode(key, *found[at]));
      ++at;
    }
    return values;
  }

  /// Up to `limit` entries whose keys begin with `prefix`. etcd has the first of them in the order of their
  /// bytes, of one moment; on Redis it is unspecified which, and in which order. *Complexity*: on etcd one
  /// request for each 4 MiB of them; Redis examines the keys of the cluster, a thousand a request, until it
  /// has found enough.
  [[nodiscard]] std::vector<std::pair<Key, Value>> read_prefix(std::string_view prefix,
                                                               std::size_t limit) const
    requires std::same_as<Key, std::string>
  {
    std::vector<std::pair<Key, Value>> entries;
    engine_->read_prefix(prefix, limit, [&](std::string_view key_text, std::string_view text) {
      Key key = parse_key(key_text);
      Value value = decode(key, text);
      entries.emplace_back(std::move(key), std::move(value));
    });
    return entries;
  }

  /// Replaces the value of an existing key. @throws KeyNotFoundError; ValueError.
  void update(LookupKey key, const Value& value) {
    if (!try_update(key, value)) throw_not_found(key);
  }
  /// Replaces the value if the key exists. @returns whether it did.
  bool try_update(LookupKey key, const Value& value) {
    return engine_->update(KeyBytes{key}.text(), ValueBytes{value}.text());
  }

  /// Removes an entry. @throws KeyNotFoundError
  void remove(LookupKey key) {
    if (!try_remove(key)) throw_not_found(key);
  }
  /// Removes the entry if the key exists. @returns whether it did.
  bool try_remove(LookupKey key) { return engine_->remove(KeyBytes{key}.text()); }

  /// Replaces the value or adds an entry. @returns true if it was added. @throws ValueError
  bool upsert(LookupKey key, const Value& value) {
    return engine_->upsert(KeyBytes{key}.text(), ValueBytes{value}.text());
  }

  /// Sets the value of each key, as `upsert` does: `upsert_many({{"a", 1}, {"b", 2}})`, or any range of
  /// pairs. Of equal keys, the last one counts. *Complexity*: a batch, as `apply` takes it, for each 100
  /// entries or MiB, or fewer where the server takes no more. If one fails, the batches before it are set.
  /// @throws ValueError
  template <detail::EntryRange<Key, Value> Entries = std::initializer_list<std::pair<Key, Value>>>
  void upsert_many(const Entries& entries) {
    Batch batch;
    BatchRoom room = batch_room();
    for (const auto& entry : entries) {
      if (!room.takes(KeyBytes{entry.first}.text().size() + ValueBytes{entry.second}.text().size())) {
        apply(batch);
        batch.clear();
      }
      batch.upsert(entry.first, entry.second);
    }
    apply(batch);
  }

  /// Runs `fn(const Value&)` on a copy of the value. @returns false if the key does not exist.
  template <class Fn>
    requires std::invocable<Fn&, const Value&>
  bool visit(LookupKey key, Fn&& fn) const {
    const std::optional<Value> value = try_read(key);
    if (value) std::invoke(fn, *value);
    return value.has_value();
  }

  /// Runs `fn(index, const Value&)` for each existing key of many, in their order; `index` is the key's
  /// position in `keys`. @returns how many keys exist. Otherwise as `read_many`.
  template <detail::KeyRange<Key, LookupKey> Keys = std::initializer_list<std::remove_cvref_t<LookupKey>>,
            class Fn>
    requires std::invocable<Fn&, std::size_t, const Value&>
  std::size_t visit_many(const Keys& keys, Fn&& fn) const {
    const std::vector<std::optional<Value>> values = read_many(keys);
    std::size_t existing = 0;
    for (std::size_t index = 0; index < values.size(); ++index) {
      if (!values[index]) continue;
      ++existing;
      std::invoke(fn, index, *values[index]);
    }
    return existing;
  }

  /// Runs `fn(Value&)` on the value and stores the result, as one atomic step. If another client changes the
  /// value meanwhile, `fn` runs again on the new value, so it must tolerate that. A function that returns
  /// `false` (as a `bool`) changes nothing. @returns whether the result was stored; false also if the key
  /// does not exist. *Complexity*: two requests, and one more for each change by another client meanwhile.
  template <class Fn>
    requires std::invocable<Fn&, Value&>
  bool modify(LookupKey key, Fn&& fn) {
    std::optional<std::string> text = engine_->read(KeyBytes{key}.text());
    while (text) {
      Value value = decode(key, *text);
      if (!run_change(fn, value)) return false;
      RemoteExchange exchange = engine_->replace_if(KeyBytes{key}.text(), *text, ValueBytes{value}.text());
      if (exchange.replaced) return true;
      text = std::move(exchange.current);
    }
    return false;
  }

  /// Runs `fn(Value&)` on the value as `modify` does, or adds `initial` if the key does not exist. @returns
  /// true if an entry was added. *Complexity*: as `modify`, or one request more.
  template <class Fn>
    requires std::invocable<Fn&, Value&>
  bool upsert_with(LookupKey key, const Value& initial, Fn&& fn) {
    while (true) {
      bool exists = false;
      const auto seen = [&](Value& value) {
        exists = true;
        return run_change(fn, value);
      };
      if (modify(key, seen) || exists) return false;
      if (try_create(key, initial)) return true;
    }
  }

  /// Replaces the value if it equals `expected`, as one atomic step. @returns whether it did; false also if
  /// the key does not exist. *Complexity*: usually one request; one more if the stored text differs from the
  /// text of `expected` although the values are equal.
  bool compare_exchange(LookupKey key, const Value& expected, const Value& desired)
    requires std::equality_comparable<Value>
  {
    std::string text{ValueBytes{expected}.text()};
    while (true) {
      RemoteExchange exchange = engine_->replace_if(KeyBytes{key}.text(), text, ValueBytes{desired}.text());
      if (exchange.replaced) return true;
      if (!exchange.current || !(decode(key, *exchange.current) == expected)) return false;
      text = *std::move(exchange.current);
    }
  }

  /// What the store has counted; `to_prometheus` of kvstore/remote_prometheus.hpp writes it.
  [[nodiscard]] RemoteMetrics metrics() const { return engine_->metrics(); }

  /// The engine and one of its servers, for messages.
  [[nodiscard]] std::string name() const { return engine_->name(); }

  /// Whether the key exists.
  [[nodiscard]] bool contains(LookupKey key) const { return engine_->contains(KeyBytes{key}.text()); }

  /// The number of entries; each store documents the cost.
  [[nodiscard]] std::size_t size() const { return engine_->size(); }
  /// Whether there is no entry.
  [[nodiscard]] bool empty() const { return engine_->empty(); }

  /// Runs `fn(const Key&, const Value&)` on every entry, in unspecified order, or until `fn` returns `false`
  /// (as a `bool`). Entries that others add or
  /// remove meanwhile may or may not be seen.
  template <class Fn>
    requires std::invocable<Fn&, const Key&, const Value&>
  void for_each(Fn&& fn) const {
    struct Ended {};
    try {
      engine_->for_each([&](std::string_view key_text, std::string_view text) {
        const Key key = parse_key(key_text);
        const Value value = decode(key, text);
        if (!run_unless_false(fn, key, value)) throw Ended{};
      });
    } catch (const Ended&) {  // NOLINT(bugprone-empty-catch): the engine has no other way to end early
    }
  }

  /// Removes every entry.
  void clear() { engine_->clear(); }

  /// Removes each entry for whose key's text `keep(std::string_view)` is false, in batches: others may see a
  /// part of it. @returns how many were removed
  template <class Keep>
    requires std::predicate<Keep&, std::string_view>
  std::size_t remove_unless(Keep&& keep) {
    std::vector<std::string> keys;
    engine_->for_each([&](std::string_view key, std::string_view) {
      if (!keep(key)) keys.emplace_back(key);
    });
    std::vector<RemoteChange> changes;
    BatchRoom room = batch_room();
    for (const std::string& key : keys) {
      if (!room.takes(key.size())) {
        (void)engine_->apply(changes);
        changes.clear();
      }
      changes.push_back({key, Before::any, std::nullopt, changes.size()});
    }
    if (!changes.empty()) (void)engine_->apply(changes);
    return keys.size();
  }

  /// For whoever writes many entries: tells how many of them go into one batch.
  [[nodiscard]] BatchRoom batch_room() const { return BatchRoom{engine_->batch_limit()}; }

  /// Carries out every change of the batch, in order; each store documents to what extent this is all or
  /// nothing. @throws DuplicateKeyError, KeyNotFoundError, ValueError as the verbs do.
  void apply(const Batch& batch) {
    if (batch.empty()) return;
    const RemoteBatch<Key, Value> changes{batch};
    if (const RemoteChange* refused = engine_->apply(changes.changes())) changes.throw_refused(*refused);
  }

 protected:
  /// `round_numbers` as in `Options`.
  explicit RemoteStore(std::unique_ptr<Engine> engine, bool round_numbers = false) noexcept
      : engine_{with_codecs<Key, Value>(std::move(engine))}, round_numbers_{round_numbers} {
    static_assert(RemoteEngine<Engine>);
  }
  ~RemoteStore() = default;

  [[nodiscard]] Engine& engine() const noexcept { return *engine_; }

  [[nodiscard]] Key parse_key(std::string_view text) const {
    try {
      return KeyText<Key>::parse(text);
    } catch (const ParseError& error) {
      throw CorruptionError{engine_->name(), "key " + printable(text, "\""), error.what()};
    }
  }

  [[nodiscard]] Value decode(LookupKey key, std::string_view text) const {
    try {
      JsonReader reader{text, round_numbers_};
      Value value = Codec<Value>::decode(reader);
      reader.finish();
      return value;
    } catch (const ParseError& error) {
      throw CorruptionError{engine_->name(), "the value of key " + KeyText<Key>::for_message(key),
                            error.what()};
    }
  }

 private:
  // The text of a key or a value, for the duration of a call.
  struct KeyBytes : ScratchWriter {
    explicit KeyBytes(LookupKey key) { KeyText<Key>::append(key, **this); }
  };
  struct ValueBytes : ScratchWriter {
    explicit ValueBytes(const Value& value) { Codec<Value>::encode(value, **this); }
  };

  [[noreturn]] static void throw_not_found(LookupKey key) {
    throw KeyNotFoundError{KeyText<Key>::for_message(key)};
  }

  std::unique_ptr<Engine> engine_;
  bool round_numbers_;
};

}}}  // namespace kvstore::v1::detail
