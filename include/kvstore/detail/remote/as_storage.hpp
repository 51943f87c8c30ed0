// SPDX-License-Identifier: MIT
#pragma once

// Presents a store on servers as a storage for `migrate` to copy from and to. It cannot serve a persistent
// store, since its saves are not atomic.

#include <concepts>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>

#include "kvstore/codec.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/detail/remote/batch.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/write_batch.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Stores whose entries are on servers: `detail::RemoteStore` and classes derived from it.
template <class S>
concept OnServers = requires(const S& store) {
  typename S::engine_type;
  { store.name() } -> std::convertible_to<std::string_view>;
};

template <OnServers S>
class RemoteStorage final : public Storage {
 public:
  using Key = typename S::key_type;
  using Value = typename S::mapped_type;

  /// With `replace`, a save removes what it has not written, once all is written: a save that fails, or whose
  /// source is the same data under another name, loses nothing.
  explicit RemoteStorage(S& store, bool replace = false)
      : store_{store}, path_{store.name()}, replace_{replace} {}

  void load(const LoadRequest&, LoadSink& sink) override {
    store_.for_each([&](const Key& key, const Value& value) {
      ScratchWriter key_text;
      KeyText<Key>::append(key, *key_text);
      ScratchWriter value_text;
      Codec<Value>::encode(value, *value_text);
      sink.put(key_text.text(), value_text.text());
    });
    sink.finish();
  }

  [[nodiscard]] SaveScope scope() const noexcept override { return SaveScope::everything; }

  void save(ChangeSource& source) override {
    std::unordered_set<std::string> written;
    WriteBatch<Key, Value> batch;
    BatchRoom room = store_.batch_room();
    for (Change change; source.next(change);) {
      if (!room.takes(change.key.size() + change.value->size())) {
        store_.apply(batch);
        batch.clear();
      }
      add(batch, change);
      if (replace_) written.emplace(change.key);
    }
    store_.apply(batch);
    if (replace_)
      store_.remove_unless([&](std::string_view key) { return written.contains(std::string{key}); });
  }

  /// For messages.
  [[nodiscard]] std::filesystem::path path() const override { return path_; }

 private:
  void add(WriteBatch<Key, Value>& batch, const Change& change) const {
    try {
      Key key = KeyText<Key>::parse(change.key);
      JsonReader reader{*change.value};
      batch.upsert(std::move(key), Codec<Value>::decode(reader));
      reader.finish();
    } catch (const ParseError& error) {
      throw ValueError{"key " + printable(change.key, "\"") + " of what is copied to " + path_text(path_) +
                       ": " + error.what()};
    }
  }

  S& store_;
  std::filesystem::path path_;
  bool replace_;
};

}}}  // namespace kvstore::v1::detail
