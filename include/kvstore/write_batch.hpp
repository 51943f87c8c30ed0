// SPDX-License-Identifier: MIT
#pragma once

// Several changes that happen together or not at all.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace kvstore { inline namespace v1 {
namespace detail {

/// Views of strings, which do not convert to a `std::string` by themselves.
template <class View, class Key>
concept ViewOf =
    !std::convertible_to<const View&, Key> && std::convertible_to<const View&, std::string_view> &&
    std::constructible_from<Key, std::string_view>;

}  // namespace detail

/// A list of changes for `apply`, which carries out all of them in order, or none, in memory and on disk. A
/// later change of the list sees the earlier ones: `create` then `update` of one key is well-formed. A batch
/// does not look at old values: values that were computed from those that the store had may overwrite what
/// other threads have written meanwhile.
///
/// *Thread safety*: none; use a batch from one thread at a time.
///
/// ```cpp
/// kvstore::WriteBatch<std::string, int> renaming;
/// renaming.create("new name", 30).remove("old name");
/// store.apply(renaming);
/// ```
template <class Key, class Value>
class WriteBatch {
 public:
  /// The kind of a change; same meaning as the store's verbs.
  enum class Action : std::uint8_t { create, update, upsert, remove };
  using Verb = Action;  ///< its name in our first preview

  /// One change; `value` is empty for `remove`.
  struct Operation {
    Action action;               ///< the kind of change
    Key key;                     ///< the key of the entry
    std::optional<Value> value;  ///< its new value
  };

  /// Adds an entry; `apply` throws `DuplicateKeyError` if the key exists by then.
  WriteBatch& create(Key key, Value value) { return add(Action::create, std::move(key), std::move(value)); }
  /// The same for a view of a string key, as the stores take it.
  template <detail::ViewOf<Key> View>
  WriteBatch& create(const View& key, Value value) {
    return create(Key{std::string_view{key}}, std::move(value));
  }
  /// Replaces a value; `apply` throws `KeyNotFoundError` if the key does not exist by then.
  WriteBatch& update(Key key, Value value) { return add(Action::update, std::move(key), std::move(value)); }
  /// The same for a view.
  template <detail::ViewOf<Key> View>
  WriteBatch& update(const View& key, Value value) {
    return update(Key{std::string_view{key}}, std::move(value));
  }
  /// Replaces a value or adds an entry.
  WriteBatch& upsert(Key key, Value value) { return add(Action::upsert, std::move(key), std::move(value)); }
  /// The same for a view.
  template <detail::ViewOf<Key> View>
  WriteBatch& upsert(const View& key, Value value) {
    return upsert(Key{std::string_view{key}}, std::move(value));
  }
  /// Removes an entry; `apply` throws `KeyNotFoundError` if the key does not exist by then.
  WriteBatch& remove(Key key) { return add(Action::remove, std::move(key), std::nullopt); }
  /// The same for a view.
  template <detail::ViewOf<Key> View>
  WriteBatch& remove(const View& key) {
    return remove(Key{std::string_view{key}});
  }

  /// The number of changes.
  [[nodiscard]] std::size_t size() const noexcept { return operations_.size(); }
  /// Whether there is no change.
  [[nodiscard]] bool empty() const noexcept { return operations_.empty(); }
  /// Forgets all changes.
  void clear() noexcept { operations_.clear(); }

  /// The changes in order.
  [[nodiscard]] const std::vector<Operation>& operations() const noexcept { return operations_; }
  /// The same, to be moved from.
  [[nodiscard]] std::vector<Operation>& operations() noexcept { return operations_; }

 private:
  WriteBatch& add(Action action, Key&& key, std::optional<Value>&& value) {
    operations_.push_back(Operation{action, std::move(key), std::move(value)});
    return *this;
  }

  std::vector<Operation> operations_;
};

}}  // namespace kvstore::v1
