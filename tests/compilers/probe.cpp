// SPDX-License-Identifier: MIT

// What each compiler of tests/compilers/run is given: stores of several kinds are written, opened again, and
// compared with what they must hold. Their files, in the folder that is named, must come out alike from every
// compiler.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <kvstore/kvstore.hpp>
#include <kvstore/spin_shared_mutex.hpp>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace probe {

struct Person {
  std::string name;
  std::optional<int> age;
  std::vector<double> scores;
  bool operator==(const Person&) const = default;
};
constexpr auto kvstore_fields(const Person*) {
  return kvstore::fields("name", &Person::name, "age", &Person::age, "scores", &Person::scores);
}

struct Point {
  int x = 0;
  int y = 0;
  bool operator==(const Point&) const = default;
};
void to_json(nlohmann::json& json, const Point& point) { json = {{"x", point.x}, {"y", point.y}}; }
void from_json(const nlohmann::json& json, Point& point) {
  json.at("x").get_to(point.x);
  json.at("y").get_to(point.y);
}

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  ++failures;
  std::fprintf(stderr, "does not hold: %s\n", what);
}

/// Writes entries, and requires them all of a store that is opened again.
template <class Store, class Entries, class Open>
void keeps(const Entries& entries, const Open& open, const char* what) {
  {
    std::unique_ptr<Store> store = open();
    for (const auto& [key, value] : entries) store->upsert(key, value);
    store->close();
  }
  const std::unique_ptr<Store> store = open();
  check(store->size() == entries.size(), what);
  for (const auto& [key, value] : entries) check(store->read(key) == value, what);
}

template <class Key, class Value>
void keeps_in_file(const std::filesystem::path& path, const std::map<Key, Value>& entries) {
  using Store = kvstore::BatchPersistentKeyValueStore<Key, Value>;
  keeps<Store>(
      entries, [&] { return std::make_unique<Store>(path, kvstore::Options{.segments = 1}); },
      path.filename().string().c_str());
}

void values(const std::filesystem::path& folder) {
  using Limits = std::numeric_limits<std::int64_t>;
  keeps_in_file<std::string, Person>(folder / "fields.json", {{"ada", {"Ada", 36, {0.1, 1e300, -2.5e-8}}},
                                                              {"b\xC3\xA9", {"\"\\\n", std::nullopt, {}}}});
  keeps_in_file<std::int64_t, Point>(folder / "adl.json", {{Limits::min(), {1, -2}}, {Limits::max(), {}}});
  keeps_in_file<std::string, std::uint64_t>(folder / "numbers.json",
                                            {{"most", std::numeric_limits<std::uint64_t>::max()}, {"", 0}});
  keeps_in_file<int, std::variant<std::string, bool>>(folder / "variant.json", {{1, "one"}, {2, true}});
  keeps_in_file<std::string, std::map<std::string, std::array<float, 2>>>(
      folder / "nested.json", {{"a", {{"x", {0.1F, 16777216.F}}}}, {"b", {}}});
}

void journal(const std::filesystem::path& folder) {
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
  const auto open = [&] {
    return std::make_unique<Store>(std::make_unique<kvstore::JsonJournal>(folder / "journal"),
                                   kvstore::Options{.batch_size = 2});
  };
  {
    const auto store = open();
    kvstore::WriteBatch<std::string, int> batch;
    batch.create("a", 1);
    batch.create("b", 2);
    store->apply(batch);
    store->remove("a");
    store->upsert("c", 3);
  }
  const auto store = open();
  check(store->size() == 2 && store->read("b") == 2 && store->read("c") == 3, "what a journal holds");
}

template <class Mutex>
void threads() {
  using Store = kvstore::BatchPersistentKeyValueStore<int, int, kvstore::Hash<int>, std::equal_to<>, Mutex>;
  Store store{std::make_unique<kvstore::MemoryStorage>(), {.batch_size = 50}};
  store.create(0, 0);
  {
    std::vector<std::jthread> team;
    team.reserve(3);
    for (int t = 0; t < 3; ++t) {
      team.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) store.modify(0, [](int& sum) { ++sum; });
      });
    }
  }
  check(store.read(0) == 3000, "no increment is lost");
}

void errors(const std::filesystem::path& folder) {
  const auto throws = [](auto error, const auto& act) {
    try {
      act();
    } catch (const decltype(error)&) { return true; } catch (...) {
    }
    return false;
  };
  kvstore::BatchPersistentKeyValueStore<std::string, double> store{folder / "errors.json"};
  store.create("a", -0.0);
  check(throws(kvstore::DuplicateKeyError{""}, [&] { store.create("a", 1); }), "create of a key that exists");
  check(throws(kvstore::KeyNotFoundError{""}, [&] { return store.read("b"); }), "read of one that does not");
  check(throws(kvstore::ValueError{""}, [&] { store.upsert("c", std::numeric_limits<double>::infinity()); }),
        "infinity is refused");
  check(throws(kvstore::ReentryError{""}, [&] { store.visit("a", [&](double) { store.clear(); }); }),
        "a callback that calls its store");
}

}  // namespace probe

int main(int argc, char** argv) {
  try {
    const std::filesystem::path folder = argc > 1 ? argv[1] : "probe";
    std::filesystem::create_directories(folder);
    probe::values(folder);
    probe::journal(folder);
    probe::threads<std::shared_mutex>();
    probe::threads<kvstore::SpinSharedMutex>();
    probe::errors(folder);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return probe::failures == 0 ? 0 : 1;
}
