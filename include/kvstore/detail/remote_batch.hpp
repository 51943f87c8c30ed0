// SPDX-License-Identifier: MIT
#pragma once

// A batch as servers can carry it out: one change per key, with what has to be there before it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kvstore/detail/codec_base.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore::inline v0::detail {

/// Whether a key has to be there for a change to be carried out.
enum class Before : std::uint8_t { any, absent, present };

/// What all of a batch's operations on one key come to, as text.
struct RemoteChange {
  std::string key;
  Before before;
  std::optional<std::string> value;  ///< none: it is not there afterwards
  std::size_t operation;             ///< the first of the batch that concerns the key
};

/// The changes of a batch, in the order of each key's first operation.
template <class Key, class Value>
class RemoteBatch {
 public:
  using Batch = WriteBatch<Key, Value>;

  /// @throws ValueError; DuplicateKeyError, KeyNotFoundError where an operation contradicts an earlier one
  explicit RemoteBatch(const Batch& batch) : batch_{batch} {
    for (std::size_t i = 0; i < batch.size(); ++i) add(i);
  }

  [[nodiscard]] const std::vector<RemoteChange>& changes() const noexcept { return changes_; }

  /// Throws what a verb throws whose key was there, or was not, against its `before`.
  [[noreturn]] void refuse(const RemoteChange& change) const {
    refuse_operation(batch_.operations()[change.operation]);
  }

 private:
  using Operation = typename Batch::Operation;
  using Verb = typename Batch::Verb;

  void add(std::size_t number) {
    const Operation& operation = batch_.operations()[number];
    ScratchWriter text;
    KeyText<Key>::append(operation.key, *text);
    std::string key{text->text()};
    const auto [found, is_first] = places_.try_emplace(key, changes_.size());
    if (is_first) {
      changes_.push_back({std::move(key), before(operation.verb), {}, number});
    } else if (contradicts(operation.verb, changes_[found->second].value.has_value())) {
      refuse_operation(operation);
    }
    changes_[found->second].value = value_text(operation);
  }

  [[nodiscard]] static std::optional<std::string> value_text(const Operation& operation) {
    if (!operation.value) return std::nullopt;
    ScratchWriter text;
    Codec<Value>::encode(*operation.value, *text);
    return std::string{text->text()};
  }

  [[nodiscard]] static Before before(Verb verb) noexcept {
    if (verb == Verb::upsert) return Before::any;
    return verb == Verb::create ? Before::absent : Before::present;
  }
  [[nodiscard]] static bool contradicts(Verb verb, bool is_there) noexcept {
    return before(verb) == (is_there ? Before::absent : Before::present);
  }
  [[noreturn]] static void refuse_operation(const Operation& operation) {
    const std::string key = KeyText<Key>::for_message(operation.key);
    if (operation.verb == Verb::create) throw DuplicateKeyError{key};
    throw KeyNotFoundError{key};
  }

  const Batch& batch_;
  std::vector<RemoteChange> changes_;
  std::unordered_map<std::string, std::size_t> places_;
};

}  // namespace kvstore::inline v0::detail
