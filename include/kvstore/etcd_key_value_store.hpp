// SPDX-License-Identifier: MIT
#pragma once

// The verbs on an etcd cluster, for small data that must never lose an acknowledged write. Not part of
// <kvstore/kvstore.hpp>: it needs the component kvstore::etcd, and with it cpp-httplib.

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

/// Follows a store's changes for as long as it exists; made by `EtcdKeyValueStore::watch`. Destroying it
/// waits for a callback that is running, so it must not be destroyed from one, and for at most
/// `EtcdOptions::connect_timeout` else. It must not outlive its store. A forked child does not follow.
class EtcdWatch {
 public:
  /// For `EtcdKeyValueStore::watch`.
  explicit EtcdWatch(std::unique_ptr<detail::EtcdWatcher> watcher)
      : watcher_{std::in_place, std::move(watcher)} {}

 private:
  detail::LeftToParent<std::unique_ptr<detail::EtcdWatcher>> watcher_;
};

/// Keeps entries in an etcd cluster (3.4 or later), through its JSON gateway. A key's text, after
/// `EtcdOptions::key_prefix`, is etcd's key, and the value's JSON is its value, so `etcdctl get --prefix`
/// shows them and other programs may write them.
///
/// *Thread safety*: any thread may call any member at any time; callbacks run without a lock, and may call
/// the store. Every verb is one request to one node. *Consistency*: linearizable, reads too: a read sees
/// every write that was acknowledged before it began, whoever made it. *Durability*: a write that returned is
/// on the disks of a majority of nodes, synced, and stays while a majority can be brought back; a minority of
/// nodes may be lost at any time.
///
/// *Errors*: UnavailableError if no node could carry a verb out before `EtcdOptions::timeout` (nothing was
/// changed); OutcomeUnknownError if a write was sent and its answer was lost, as may happen to writes under
/// way when a node dies (it is not repeated by itself); ServerError if etcd refuses (no permission, no
/// space); ValueError if an entry or a batch is larger than etcd takes.
///
/// *Batches*: `apply` is one transaction, all or nothing whatever fails, of at most
/// `EtcdOptions::max_operations` keys. *Whole store*: `for_each` reads pages of `EtcdOptions::page_size` in
/// order of etcd's keys, all at the revision of the first page, so it shows one moment; if etcd is compacted
/// beyond that revision meanwhile, it throws ServerError ("required revision has been compacted") after what
/// it has shown. `size` is one request that etcd answers in O(entries of the prefix), `clear` one atomic one.
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
  /// Connects to a node, and logs in if there is a user. @throws UsageError if an option makes no sense;
  /// UnavailableError if no node answers; ServerError if the password is wrong.
  explicit EtcdKeyValueStore(EtcdOptions options)
      : Base{std::make_unique<detail::EtcdEngine>(std::move(options))} {}

  /// Runs `fn(const Key&, const std::optional<Value>&, std::int64_t revision)` on each later change in a
  /// thread of its own, in the order in which they happened, each once; no value means that the key was
  /// removed. When a connection or node fails, it goes on at the next endpoint, as long as it takes.
  /// @param on_error called at most once, in the same thread, with why watching has ended by itself: etcd
  ///   refused (ServerError), also because it compacted changes away before they were seen; an entry is no
  ///   `Key` or `Value` (CorruptionError); or `fn` threw.
  /// @param first_revision watch from this revision on, such as the last one seen plus one; 0 (the default) =
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

  /// etcd's revision as of now: it grows by one with each write to the cluster, whatever its key.
  [[nodiscard]] std::int64_t revision() const { return this->engine().revision(); }
};

}}  // namespace kvstore::v1
