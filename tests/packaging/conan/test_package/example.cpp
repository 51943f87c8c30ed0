// SPDX-License-Identifier: MIT

// A store that is closed and opened again, from nothing but the package.

#include <filesystem>
#include <kvstore/kvstore.hpp>
#include <string>

int main() {
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
  const std::filesystem::path file = "example.json";
  std::filesystem::remove(file);
  Store{file}.create("answer", 42);
  return Store{file}.read("answer") == 42 ? 0 : 1;
}
