// SPDX-License-Identifier: MIT

// Every error that a program may want to handle: provoked, caught, and its message shown.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <kvstore/kvstore.hpp>
#include <limits>
#include <string>
#include <string_view>

namespace {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, double>;

int missed = 0;  // errors that were expected and did not come

/// Runs `action`, which must throw `Error`, and shows what the error says.
template <class Error, class Action>
void provoke(std::string_view title, Action action) {
  std::cout << title << '\n';
  try {
    action();
    std::cout << "  no error!\n\n";
    ++missed;
  } catch (const Error& error) { std::cout << "  " << error.what() << "\n\n"; }
}

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void wrong_keys_and_values() {
  Store prices{"prices.json"};
  prices.create("tea", 2.50);

  provoke<kvstore::DuplicateKeyError>("create() of a key that exists:", [&] { prices.create("tea", 3.00); });
  provoke<kvstore::KeyNotFoundError>("read() of a key that does not:", [&] { return prices.read("coffee"); });
  provoke<kvstore::ValueError>("a value that JSON cannot hold:", [&] {
    prices.upsert("infinite tea", std::numeric_limits<double>::infinity());
  });
  // Where a missing key is nothing special, ask instead of catching.
  std::cout << "try_read() does not throw: coffee costs " << prices.try_read("coffee").value_or(0.0)
            << "\n\n";
}

void two_owners() {
  const Store first{"prices.json"};
  provoke<kvstore::LockedError>("opening a file that a store has open:", [] { Store second{"prices.json"}; });
}

void damaged_file() {
  // Somebody edited the file by hand and wrote a comma for a point.
  std::ofstream{"damaged.json"} << "{\n\"tea\": 2.5,\n\"coffee\": 3,50\n}\n";
  const std::string before = content_of("damaged.json");
  provoke<kvstore::CorruptionError>("opening a damaged file:", [] {
    try {
      Store store{"damaged.json"};
    } catch (const kvstore::CorruptionError& error) {
      std::cout << "  file " << error.path() << ", byte " << error.offset() << '\n';
      throw;
    }
  });
  const bool unchanged = content_of("damaged.json") == before;
  std::cout << "  the file is " << (unchanged ? "as it was" : "CHANGED") << "\n\n";
  missed += unchanged ? 0 : 1;
}

void nowhere_to_write() {
  provoke<kvstore::StorageError>("a folder that cannot be written to:",
                                 [] { Store store{"/sys/prices.json"}; });
}

}  // namespace

int main() {
  std::filesystem::remove("prices.json");
  wrong_keys_and_values();
  two_owners();
  damaged_file();
  nowhere_to_write();

  // All of them are kvstore::Error, and that is a std::runtime_error: catch as much or as little as you need.
  std::cout << (missed == 0 ? "every error came as expected\n" : "an error did not come as expected\n");
  return missed == 0 ? 0 : 1;
}
