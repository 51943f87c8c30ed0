// SPDX-License-Identifier: MIT

// A codec that writes to another store while an operation of its own store is being recorded.

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"

namespace nested_codec_test {

/// A value whose encoding tells somebody.
struct Told {
  int value = 0;
};
std::function<void(int)> tell;

}  // namespace nested_codec_test

template <>
struct kvstore::Codec<nested_codec_test::Told> {
  static void encode(const nested_codec_test::Told& told, JsonWriter& out) {
    if (nested_codec_test::tell) nested_codec_test::tell(told.value);
    out.integer(told.value);
  }
  static nested_codec_test::Told decode(JsonReader& in) { return {in.integer<int>()}; }
  static void check(const nested_codec_test::Told& /*told*/) {}
};

namespace nested_codec_test {

using support::StorageCase;
using support::TempFolder;

TEST_CASE("Nested codec: it may write to another store, and both stores hold what they were given") {
  for (const StorageCase& storage : support::storages()) {
    INFO(storage.name);
    const TempFolder folder;
    const TempFolder audits;
    const kvstore::Options options{.batch_size = 0, .auto_save_interval = std::chrono::seconds{0}};
    {
      kvstore::BatchPersistentKeyValueStore<std::string, Told> store{storage.open(folder.path()), options};
      kvstore::BatchPersistentKeyValueStore<std::string, std::string> audit{storage.open(audits.path()),
                                                                            options};
      tell = [&](int value) { audit.upsert("seen", "a long text about " + std::to_string(value)); };
      store.upsert("a", Told{1});
      store.upsert("a longer key", Told{22});
      kvstore::WriteBatch<std::string, Told> batch;
      batch.upsert("b", Told{3}).remove("a").upsert("c", Told{4});
      store.apply(batch);
      store.save();
      store.upsert("b", Told{5});
      store.close();
      tell = nullptr;
      CHECK(audit.read("seen").starts_with("a long text about "));
      audit.close();
    }
    const kvstore::BatchPersistentKeyValueStore<std::string, Told> again{storage.open(folder.path()),
                                                                         options};
    CHECK(again.size() == 3);
    CHECK(again.read("a longer key").value == 22);
    CHECK(again.read("b").value == 5);
    CHECK(again.read("c").value == 4);
    const kvstore::BatchPersistentKeyValueStore<std::string, std::string> audited{storage.open(audits.path()),
                                                                                  options};
    CHECK(audited.size() == 1);
  }
}

}  // namespace nested_codec_test
