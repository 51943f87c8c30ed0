// SPDX-License-Identifier: MIT

// The other translation unit: reads what the first one wrote.

#include <filesystem>
#include <kvstore/kvstore.hpp>
#include <string>

int sum_of(const std::filesystem::path& file);  // called from first.cpp

int sum_of(const std::filesystem::path& file) {
  const kvstore::BatchPersistentKeyValueStore<std::string, int> store{file};
  return store.read("one") + store.read("two");
}
