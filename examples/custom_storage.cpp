// SPDX-License-Identifier: MIT

// Keeps a store in a storage of one's own, and copies it from there into a JSON file.

#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "length_prefixed_file.hpp"

int main() try {
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
  {
    Store store{std::make_unique<LengthPrefixedFile>("scores.entries")};
    store.upsert("ada", store.try_read("ada").value_or(0) + 1);
    store.upsert("grace", 10);
    std::cout << "in the storage of one's own: " << store.size() << " entries, ada has " << store.read("ada")
              << " from as many runs\n";
    store.close();
  }
  LengthPrefixedFile from{"scores.entries"};
  kvstore::JsonFile to{"scores.json"};
  std::cout << "copied to scores.json: " << kvstore::migrate(from, to, {.replace = true}) << " entries\n";
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
