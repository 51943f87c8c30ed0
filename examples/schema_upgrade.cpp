// SPDX-License-Identifier: MIT

// A program whose values change from release to release, and the files of older releases that it still opens.

#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace {

// Release 1 had a name in one piece. Release 2 added a language, release 3 split the name.
struct UserOfRelease1 {
  std::string name;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(UserOfRelease1, name)

struct User {
  std::string first_name;
  std::string last_name;
  std::string language;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(User, first_name, last_name, language)

/// Brings one value from any older version to version 3, a step at a time.
void upgrade(std::uint32_t from, std::string_view, nlohmann::json& user) {
  if (from < 2) user["language"] = "en";  // a new field, with a default
  if (from < 3) {                         // a renamed field, or here one made of another
    const std::string name = user["name"];
    const auto space = name.rfind(' ');
    user["first_name"] = name.substr(0, space);
    user["last_name"] = space == std::string::npos ? "" : name.substr(space + 1);
    user.erase("name");
  }
}

}  // namespace

int main() try {
  std::filesystem::remove("users.json");
  {
    kvstore::BatchPersistentKeyValueStore<std::string, UserOfRelease1> users{"users.json",
                                                                             {.schema_version = 1}};
    users.create("ada", {"Ada Lovelace"});
    users.create("grace", {"Grace Brewster Hopper"});
  }
  {
    const kvstore::Options options{.schema_version = 3, .upgrade = upgrade};
    kvstore::BatchPersistentKeyValueStore<std::string, User> users{"users.json", options};
    users.for_each([](const std::string& key, const User& user) {
      std::cout << key << ": " << user.first_name << " | " << user.last_name << " | " << user.language
                << '\n';
    });
  }
  try {
    kvstore::BatchPersistentKeyValueStore<std::string, UserOfRelease1> old{"users.json",
                                                                           {.schema_version = 1}};
  } catch (const kvstore::SchemaVersionError& error) {
    std::cout << "release 1 says: " << error.what() << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "error: " << error.what() << '\n';
  return 1;
}
