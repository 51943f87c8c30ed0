// SPDX-License-Identifier: MIT

// A program of two translation units, as another project would write it: this one fills the store.

#include <filesystem>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <string>

int sum_of(const std::filesystem::path& file);  // in second.cpp

int main() {
  const std::filesystem::path file = "consumer.json";
  std::filesystem::remove(file);
  {
    kvstore::BatchPersistentKeyValueStore<std::string, int> store{file};
    store.create("one", 1);
    store.create("two", 2);
  }
  const int sum = sum_of(file);
  std::cout << "sum " << sum << '\n';
  return sum == 3 ? 0 : 1;
}
