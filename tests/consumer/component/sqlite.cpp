// SPDX-License-Identifier: MIT

// A program that keeps its store in a database, as another project would write it.

#include <iostream>
#include <kvstore/kvstore.hpp>
#include <kvstore/storage/sqlite.hpp>
#include <memory>
#include <string>

int main() {
  kvstore::BatchPersistentKeyValueStore<std::string, int> store{
      std::make_unique<kvstore::SqliteFile>("consumer.db")};
  store.upsert("runs", store.try_read("runs").value_or(0) + 1);
  store.close();
  std::cout << "runs so far: " << store.read("runs") << '\n';
}
