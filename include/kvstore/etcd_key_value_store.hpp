// SPDX-License-Identifier: MIT
#pragma once

// The verbs on an etcd cluster, for small data that must never lose an acknowledged write. Not part of
// <kvstore/kvstore.hpp>: it needs the component kvstore::etcd, and with it cpp-httplib.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/etcd/engine.hpp"
#include "kvstore/detail/etcd/watch.hpp"
#include "kvstore/detail/remote/store.hpp"
#include "kvstore/error.hpp"
#include "kvstore/etcd_options.hpp"

namespace kvstore { inline namespace v1 {

/// Follows a store's changes for as long as it exists; made by `EtcdKeyValueStore::watch`. The destructor
/// waits for a running callback (never destroy the watch from one), otherwise for at most
/// `EtcdOptions::connect_timeout`. The watch must not outlive its store. A forked child does not follow.
class EtcdWatch {
 public:
  /// Called by `EtcdKeyValueStore::watch`.
  explicit EtcdWatch(std::unique_ptr<detail::EtcdWatcher> watcher)
      : watcher_{std::in_place, std::move(watcher)} {}

 private:
  detail::LeftToParent<std::unique_ptr<detail::EtcdWatcher>> watcher_;
};

/// Keeps entries in an etcd cluster (3.4 or later), through its JSON gateway. etcd's key is
/// `EtcdOptions::key_prefix` and the key's text; etcd's value is the value's JSON. `etcdctl get --prefix`
/// shows the entries, and other programs may write them.
///
/// *Thread safety*: any thread may call any member at any time; callbacks run without a lock, and may call
/// the store. Every verb is one request to one node. *Consistency*: linearizable, including reads: a read
/// sees every write that any client had acknowledged before the read began. *Durability*: a write that
/// returned is synced to the disks of a majority of nodes, and survives as long as a majority can be brought
/// back. A minority of nodes may be lost at any time.
///
/// *Errors*: UnavailableError if no node could carry out a verb before `EtcdOptions::timeout` (nothing was
/// changed); OutcomeUnknownError if a write was sent and its answer was lost, as may happen to writes under
/// way when a node dies (such a write is not retried automatically); ServerError if etcd refuses (no
/// permission, no space); ValueError if an entry or a batch is larger than etcd accepts.
///
/// *Batches*: `apply` is one transaction of at most `EtcdOptions::max_operations` keys, all or nothing
/// whatever fails. *Whole store*: `for_each` reads pages of `EtcdOptions::page_size` in order of etcd's keys.
/// All pages have the revision of the first, so they are a snapshot. If etcd is compacted beyond that
/// revision meanwhile, `for_each` throws ServerError ("required revision has been compacted") after the
/// entries already shown. `size` is one request that etcd answers in O(entries of the prefix); `clear` is one
/// atomic request.
///
/// ```cpp
/// kvstore::EtcdKeyValueStore<std::string, int> store{
///     {.endpoints = {"10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"}, .key_prefix = "counters/"}};
/// store.create("visits", 1);
/// store.modify("visits", [](int& n) { ++n; });
/// auto watch = store.watch([](const std::string& key, const std::optional<int>& value, std::int64_t) { ...
/// });
/// ```
template <class Key, class Value>
class EtcdKeyValueStore : public detail::RemoteStore<Key, Value, detail::EtcdEngine> {
  using Base = detail::RemoteStore<Key, Value, detail::EtcdEngine>;

 public:
  /// Connects to a node, and logs in if a user is set. @throws UsageError if an option makes no sense;
  /// UnavailableError if no node answers; ServerError if the password is wrong.
  explicit EtcdKeyValueStore(const EtcdOptions& options)
      : Base{std::make_unique<detail::EtcdEngine>(options), options.round_numbers} {}

  /// Runs `fn(const Key&, const std::optional<Value>&, std::int64_t revision)` once for each later change, in
  /// order, in a thread of its own. No value means that the key was removed. When a connection or node fails,
  /// the watch goes on at the next endpoint, and retries until one answers.
  /// @param on_error called at most once, in the same thread, with the error that ended the watch: etcd
  ///   refused (ServerError), for example because changes were compacted away before they were seen; an entry
  ///   is not a valid `Key` or `Value` (CorruptionError); or `fn` threw.
  /// @param first_revision the first revision to watch, such as the last one seen plus one; 0 (the default) =
  ///   every change that is acknowledged after this call returns.
  /// @throws UnavailableError, ServerError, UsageError
  template <class Fn>
    requires std::invocable<Fn&, const Key&, const std::optional<Value>&, std::int64_t>
  [[nodiscard]] EtcdWatch watch(Fn fn, std::function<void(const std::exception&)> on_error = {},
                                std::int64_t first_revision = 0) const {
    if (first_revision < 0) throw UsageError{"a watch cannot start at a negative revision"};
    if (first_revision == 0) first_revision = revision() + 1;
    auto see = [this, fn = std::move(fn)](const detail::EtcdEvent& event) mutable {
      const Key key = this->parse_key(event.key);
      std::optional<Value> value;
      if (event.value) value = this->decode(key, *event.value);
      std::invoke(fn, key, std::as_const(value), event.revision);
    };
    return EtcdWatch{std::make_unique<detail::EtcdWatcher>(this->engine().client(), first_revision,
                                                           std::move(see), std::move(on_error))};
  }

  /// etcd's current revision. It grows by one with each write to the cluster, to any key.
  [[nodiscard]] std::int64_t revision() const { return this->engine().revision(); }
};

}}  // namespace kvstore::v1
