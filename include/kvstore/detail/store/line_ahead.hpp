// SPDX-License-Identifier: MIT
#pragma once

// The line of an operation, encoded before its segment is locked where the new entry is known by then: others
// do not wait for it, and what the search reads first arrives meanwhile. A verb that needs an existing entry
// (`update`, `modify`, `remove`) has its line encoded under the lock: the entry's own key belongs into it,
// and the caller's may be one that cannot be stored.

#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "kvstore/detail/base/thread_object.hpp"
#include "kvstore/detail/change/change_line.hpp"
#include "kvstore/detail/codec/key.hpp"
#include "kvstore/detail/contract/line_journal.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/detail/table/tables.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Value, class Out>
void put_changes(const Tables<Key, Value>& tables, std::span<const Mutation<Key, Value>> mutations,
                 Out& out) {
  for (const auto& mutation : mutations) {
    const Key& key = mutation.key_in(tables.of(mutation.hash));
    if (mutation.kind == Mutation<Key, Value>::Kind::erase)
      out.remove(key);
    else
      out.put(key, mutation.new_value());
  }
}

/// *Thread safety*: none; for one operation of one thread.
template <class Key, class Value>
class LineAhead {
 public:
  /// For a storage that takes lines if `wanted`; otherwise this object does nothing. Encodes the entry that
  /// `intended` names, if any; may throw what the codecs do.
  template <class CheckedKey>
  LineAhead(bool wanted, const Intended<CheckedKey, Value>* intended) : LineAhead{wanted} {
    if (!wanted || intended == nullptr) return;
    (**own_).begin(false);
    (**own_).put(intended->key, *intended->value);
    value_ = intended->value;
    if constexpr (kIsString<Key>)
      key_ = {intended->key.data(), intended->key.size()};
    else
      key_ = &intended->key;
  }
  explicit LineAhead(bool wanted) {
    if (wanted) own_.emplace();
  }
  LineAhead(const LineAhead&) = delete;
  LineAhead& operator=(const LineAhead&) = delete;
  ~LineAhead() {
    if (!own_) return;
    (**own_).shrink();
    own_->give_back();
  }

  [[nodiscard]] bool is_wanted() const noexcept { return own_.has_value(); }

  /// The line of these mutations, which is valid as long as this object. Call once, if it is wanted.
  [[nodiscard]] SealedLine of(const Tables<Key, Value>& tables,
                              std::span<const Mutation<Key, Value>> mutations) {
    ChangeLine& line = **own_;
    if (mutations.size() != 1 || !is_encoded(tables, mutations.front())) {
      line.begin(mutations.size() > 1);
      put_changes(tables, mutations, line);
    }
    return line.end();
  }

 private:
  [[nodiscard]] bool is_encoded(const Tables<Key, Value>& tables,
                                const Mutation<Key, Value>& mutation) const {
    if (value_ == nullptr || mutation.value != value_) return false;
    return mutation.kind == Mutation<Key, Value>::Kind::insert ||
           has_text_of(mutation.key_in(tables.of(mutation.hash)));
  }
  /// Keys may be equal and yet have other texts: the entry keeps its own. False if that cannot be excluded.
  [[nodiscard]] bool has_text_of(const Key& key) const {
    if constexpr (kIsString<Key>)
      return std::string_view{key.data(), key.size()} == key_;
    else if constexpr (NameKey<Key>)
      return key == *key_;
    else
      return false;
  }

  std::optional<TakenOut<ChangeLine, ChangeLine>>
      own_;                       // a codec may write to another store, which needs a second
  const Value* value_ = nullptr;  // of the entry that is encoded, as its key
  std::conditional_t<kIsString<Key>, std::string_view, const Key*> key_{};
};

}}}  // namespace kvstore::v1::detail
