// SPDX-License-Identifier: MIT

// The three things most programs do: keep values, find them again after a restart, share them among threads.

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

void basic() {
  // [basic]
  kvstore::BatchPersistentKeyValueStore<std::string, std::string> store{"basic.json"};

  store.upsert("language", "C++");              // adds or replaces
  store.update("language", "C++20");            // throws if the key does not exist
  store.create("editor", "any");                // throws if it does
  std::cout << store.read("language") << '\n';  // C++20
  store.remove("editor");
  if (!store.try_read("editor")) std::cout << "no editor\n";
  // [/basic]
}  // closing saves: the next program that opens basic.json finds "language"

void batch() {
  // [batch]
  using namespace std::chrono_literals;
  using Orders = kvstore::BatchPersistentKeyValueStore<int, nlohmann::json>;
  {
    // On disk after every third operation, and whatever is left at the latest after ten seconds.
    Orders orders{"orders.json", {.batch_size = 3, .auto_save_interval = 10s}};
    orders.create(1, {{"item", "tea"}, {"count", 2}});
    orders.create(2, {{"item", "cake"}, {"count", 1}});
    std::cout << "after two orders, not yet on disk: " << orders.unsaved() << '\n';
    orders.create(3, {{"item", "jam"}, {"count", 5}});
    std::cout << "after the third, not yet on disk:  " << orders.unsaved() << '\n';
    orders.modify(1, [](nlohmann::json& order) { order["paid"] = true; });
  }  // closing saves the fourth

  Orders reopened{"orders.json"};
  std::cout << "reopened with " << reopened.size() << " orders; the first is " << reopened.read(1) << '\n';
  // [/batch]
}

void threads() {
  // [threads]
  kvstore::BatchPersistentKeyValueStore<std::string, int> votes{"votes.json"};
  votes.create("total", 0);
  {
    std::vector<std::jthread> voters;
    for (int number = 1; number <= 5; ++number) {
      voters.emplace_back([&votes, number] {
        votes.create("voter " + std::to_string(number), number);
        for (int i = 0; i < 1000; ++i) votes.modify("total", [](int& total) { ++total; });
      });
    }
  }  // all have finished
  std::cout << votes.read("total") << " votes by " << votes.size() - 1 << " threads, none lost\n";
  // [/threads]
}

void journal() {
  // [journal]
  kvstore::BatchPersistentKeyValueStore<std::string, int> journaled{
      std::make_unique<kvstore::JsonJournal>("visits.json"), {.batch_size = 100}};
  // [/journal]
  // As another process would.
  kvstore::DurableMap<std::string, int> follower{std::make_unique<kvstore::JsonJournal>("visits.json"),
                                                 {.read_only = true}};
  for (const char* page : {"home", "about", "home"}) {
    journaled.upsert(page, journaled.try_read(page).value_or(0) + 1);
  }
  if (follower.refresh()) std::cout << "the follower sees " << follower.size() << " pages\n";
  journaled.close();
}

void show(const char* file) { std::cout << "\n" << file << ":\n" << std::ifstream{file}.rdbuf() << '\n'; }

int main() {
  // Start afresh, so that this example prints the same each time.
  for (const char* file : {"basic.json", "orders.json", "votes.json", "visits.json", "visits.json.journal"})
    std::filesystem::remove(file);

  std::cout << "-- basic --\n";
  basic();
  std::cout << "\n-- batch --\n";
  batch();
  show("orders.json");
  std::cout << "\n-- threads --\n";
  threads();
  std::cout << "\n-- journal --\n";
  journal();
  show("visits.json.journal");
}
