// SPDX-License-Identifier: MIT

// Holds a store for the tests of kvctl, as any program would: `kvctl_hold KIND PATH [N [MORE]]` opens it,
// stores and saves N entries with the integers below N as keys, and then as many MORE, says "ready", and
// holds it until its standard input ends.

#include <cstdint>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <kvstore/storage/json_journal.hpp>
#include <memory>
#include <string>
#if KVCTL_HAS_SQLITE
#include <kvstore/storage/sqlite.hpp>
#endif

namespace {

std::unique_ptr<kvstore::Storage> open(const std::string& kind, const std::string& path) {
  if (kind == "journal") return std::make_unique<kvstore::JsonJournal>(path);
#if KVCTL_HAS_SQLITE
  if (kind == "sqlite") return std::make_unique<kvstore::SqliteFile>(path);
#endif
  return std::make_unique<kvstore::JsonFile>(path);
}

}  // namespace

int main(int argc, char* argv[]) {
  if (argc < 3) return 2;
  kvstore::BatchPersistentKeyValueStore<std::int64_t, std::string> store{open(argv[1], argv[2])};
  const int count = argc > 3 ? std::stoi(argv[3]) : 0;
  for (int i = 0; i < count; ++i) store.upsert(i, "value " + std::to_string(i));
  store.save();
  const int end = count + (argc > 4 ? std::stoi(argv[4]) : 0);
  for (int i = count; i < end; ++i) store.upsert(i, "value " + std::to_string(i));
  std::cout << "ready" << std::endl;
  for (char byte = 0; std::cin.get(byte);) {}
  store.close();
}
