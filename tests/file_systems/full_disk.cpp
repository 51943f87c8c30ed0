// SPDX-License-Identifier: MIT

// full_disk fill FILE COUNT: makes a journaled store of COUNT entries, says "ready", and when a line comes
// overwrites them all; prints how many overwrites were acknowledged, and how it ended, and leaves without
// closing the store. full_disk check FILE COUNT ACKNOWLEDGED: whether these overwrites are there, and
// everything else is as it was.

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

using Store = kvstore::BatchPersistentKeyValueStore<int, std::string>;
constexpr std::size_t kBatch = 100;
constexpr std::size_t kBytes = 200;  // so that the lines of a batch are worth a mapping

std::string value(char mark) { return std::string(kBytes, mark); }

[[noreturn]] void fill(const std::string& path, int count) {
  Store store{std::make_unique<kvstore::JsonJournal>(path),
              {.batch_size = kBatch, .auto_save_interval = std::chrono::milliseconds{0}}};
  for (int key = 0; key < count; ++key) store.upsert(key, value('a'));
  store.save();
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  int acknowledged = 0;
  std::string end = "all overwritten";
  try {
    for (; acknowledged < count; ++acknowledged) store.upsert(acknowledged, value('b'));
  } catch (const kvstore::StorageError& error) { end = error.what(); }
  std::cout << acknowledged << ' ' << end << std::endl;
  ::_exit(0);  // as a crash would, but for the exit status
}

void check(const std::string& path, int count, int acknowledged) {
  const Store store{std::make_unique<kvstore::JsonJournal>(path)};
  if (store.size() != static_cast<std::size_t>(count)) throw std::runtime_error{"entries are missing"};
  bool overwritten = true;  // a prefix is, with the acknowledged ones and perhaps more
  for (int key = 0; key < count; ++key) {
    const std::string found = store.read(key);
    if (overwritten && key >= acknowledged) overwritten = found == value('b');
    if (found != value(overwritten ? 'b' : 'a')) throw std::runtime_error{"entry " + std::to_string(key)};
  }
}

}  // namespace

int main(int argc, char* argv[]) {
  try {
    const std::string command = argc > 1 ? argv[1] : "";
    if (command == "fill" && argc == 4) fill(argv[2], std::stoi(argv[3]));
    if (command != "check" || argc != 5) throw std::runtime_error{"see the head of full_disk.cpp"};
    check(argv[2], std::stoi(argv[3]), std::stoi(argv[4]));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "full_disk: " << error.what() << '\n';
    return 1;
  }
}
