// SPDX-License-Identifier: MIT
#pragma once

// A batch in the form that servers can carry out: one change per key, with the required state before it.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/remote/engine.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Tells how many entries go into one batch, for whoever writes many.
class BatchRoom {
 public:
  explicit BatchRoom(const BatchLimit& limit) : limit_{limit} {}

  /// Whether an entry with so many bytes of key and value fits in. If not, it is the first of the next batch.
  [[nodiscard]] bool takes(std::size_t bytes) noexcept {
    bytes += limit_.framing;
    const bool fits = entries_ < limit_.entries && (entries_ == 0 || bytes_ + bytes <= limit_.bytes);
    if (!fits) entries_ = bytes_ = 0;
    ++entries_;
    bytes_ += bytes;
    return fits;
  }

 private:
  BatchLimit limit_;
  std::size_t entries_ = 0;
  std::size_t bytes_ = 0;
};

/// The changes of a batch, in the order of each key's first operation.
template <class Key, class Value>
class RemoteBatch {
 public:
  using Batch = WriteBatch<Key, Value>;

  /// @throws ValueError; DuplicateKeyError, KeyNotFoundError if an operation contradicts an earlier one
  explicit RemoteBatch(const Batch& batch) : batch_{batch} {
    std::vector<Extent> extents;
    extents.reserve(batch.size());
    for (const Operation& operation : batch.operations()) extents.push_back(written(operation));
    changes_.reserve(batch.size());
    places_.reserve(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) add(i, extents[i]);
  }
  RemoteBatch(const RemoteBatch&) = delete;
  RemoteBatch& operator=(const RemoteBatch&) = delete;

  [[nodiscard]] const std::vector<RemoteChange>& changes() const noexcept { return changes_; }

  /// Throws the exception of a verb whose key existed, or did not, contrary to its `before`.
  [[noreturn]] void throw_refused(const RemoteChange& change) const {
    throw_operation_refused(batch_.operations()[change.operation]);
  }

 private:
  using Operation = typename Batch::Operation;
  using Action = typename Batch::Action;

  /// The extent of an operation's key and value in the text; the value follows the key.
  struct Extent {
    std::size_t begin;
    std::size_t middle;
    std::size_t end;
  };

  [[nodiscard]] Extent written(const Operation& operation) {
    Extent extent{.begin = text_.size(), .middle = 0, .end = 0};
    KeyText<Key>::append(operation.key, text_);
    extent.middle = text_.size();
    if (operation.value) Codec<Value>::encode(*operation.value, text_);
    extent.end = text_.size();
    return extent;
  }

  void add(std::size_t number, const Extent& extent) {
    const Operation& operation = batch_.operations()[number];
    const std::string_view key = text_.text().substr(extent.begin, extent.middle - extent.begin);
    const auto [found, is_first] = places_.try_emplace(key, changes_.size());
    if (is_first) {
      changes_.push_back({key, before(operation.action), {}, number});
    } else if (contradicts(operation.action, changes_[found->second].value.has_value())) {
      throw_operation_refused(operation);
    }
    std::optional<std::string_view>& value = changes_[found->second].value;
    value.reset();
    if (operation.value) value = text_.text().substr(extent.middle, extent.end - extent.middle);
  }

  [[nodiscard]] static Before before(Action verb) noexcept {
    if (verb == Action::upsert) return Before::any;
    return verb == Action::create ? Before::absent : Before::present;
  }
  [[nodiscard]] static bool contradicts(Action verb, bool is_there) noexcept {
    return before(verb) == (is_there ? Before::absent : Before::present);
  }
  [[noreturn]] static void throw_operation_refused(const Operation& operation) {
    const std::string key = KeyText<Key>::for_message(operation.key);
    if (operation.action == Action::create) throw DuplicateKeyError{key};
    throw KeyNotFoundError{key};
  }

  const Batch& batch_;
  JsonWriter text_;  // of all keys and values
  std::vector<RemoteChange> changes_;
  std::unordered_map<std::string_view, std::size_t, SecretTextHash> places_;
};

}}}  // namespace kvstore::v1::detail
