// SPDX-License-Identifier: MIT

// Code that only declares stores needs one light header. Its names are the same as those that the other
// headers define.

#include "kvstore/kvstore_fwd.hpp"

#include <memory>
#include <string>
#include <type_traits>

namespace {

// Declarations as in a header of a user.
using Ages = kvstore::KeyValueStore<std::string, int>;
using SavedAges = kvstore::DurableMap<std::string, int>;
static_assert(std::is_same_v<SavedAges, kvstore::BatchPersistentKeyValueStore<std::string, int>>);

class Register {
 public:
  explicit Register(SavedAges& ages) noexcept : ages_{ages} {}
  int birthday(const std::string& name);
  void undo(const kvstore::WriteBatch<std::string, int>& changes);

 private:
  SavedAges& ages_;
};

std::unique_ptr<kvstore::Storage> storage();
int age_of(const Ages& ages, const std::string& name);
kvstore::Options quiet();

}  // namespace

#include <chrono>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "support/catch.hpp"

namespace {

int Register::birthday(const std::string& name) {
  ages_.modify(name, [](int& age) { ++age; });
  return age_of(ages_, name);
}
void Register::undo(const kvstore::WriteBatch<std::string, int>& changes) { ages_.apply(changes); }

std::unique_ptr<kvstore::Storage> storage() { return std::make_unique<kvstore::MemoryStorage>(); }
int age_of(const Ages& ages, const std::string& name) { return ages.read(name); }
kvstore::Options quiet() { return {.auto_save_interval = std::chrono::seconds{0}}; }

}  // namespace

TEST_CASE("Forward declarations: what they declare is what the other headers define") {
  SavedAges ages{storage(), quiet()};
  ages.create("alice", 30);
  Register people{ages};
  CHECK(people.birthday("alice") == 31);
  kvstore::WriteBatch<std::string, int> changes;
  changes.update("alice", 30);
  people.undo(changes);
  CHECK(age_of(ages, "alice") == 30);
}

TEST_CASE("Forward declarations: hold the stores' default arguments") {
  STATIC_REQUIRE(
      std::is_same_v<Ages,
                     kvstore::KeyValueStore<std::string, int, kvstore::Hash<std::string>, std::equal_to<>>>);
  STATIC_REQUIRE(
      std::is_same_v<SavedAges,
                     kvstore::BatchPersistentKeyValueStore<std::string, int, kvstore::Hash<std::string>,
                                                           std::equal_to<>, std::shared_mutex>>);
  STATIC_REQUIRE(std::is_base_of_v<Ages, SavedAges>);
  STATIC_REQUIRE(std::is_base_of_v<kvstore::Storage, kvstore::JsonJournal>);
  STATIC_REQUIRE(std::is_default_constructible_v<kvstore::SpinSharedMutex>);
}
