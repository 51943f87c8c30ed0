// SPDX-License-Identifier: MIT

// One function over `kvstore::Store`, run on every store there is: in memory, in a JSON file, on a Redis
// Cluster, on etcd. A program that outgrows its machine changes the type of its store, and nothing else.
//
//   anywhere [redis HOST:PORT] [etcd HOST:PORT]

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "kvstore/call_deadline.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/store.hpp"
#ifdef KVSTORE_HAS_REDIS_CLUSTER
#include "kvstore/redis_cluster_key_value_store.hpp"
#endif
#ifdef KVSTORE_HAS_ETCD
#include "kvstore/etcd_key_value_store.hpp"
#endif

namespace {

using namespace std::chrono_literals;

/// Counts how often each word comes, next to whoever else counts in the same store.
template <kvstore::Store<std::string, int> Counters>
void count_words(Counters& counters, std::string_view text) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word{text.substr(begin, end - begin)};
    while (!counters.modify(word, [](int& count) { ++count; }) && !counters.try_create(word, 1)) {}
    begin = end + 1;
  }
}

template <kvstore::Store<std::string, int> Counters>
void show(std::string_view where, Counters& counters) {
  counters.clear();
  count_words(counters, "the map that a program takes along is the map that it trusts");
  std::map<std::string, int> sorted;
  counters.for_each([&](const std::string& word, const int& count) { sorted[word] = count; });
  std::cout << where << ':';
  for (const auto& [word, count] : sorted) std::cout << ' ' << word << '=' << count;
  std::cout << '\n';
}

int show_remote(std::string_view engine, const std::string& address) {
#ifdef KVSTORE_HAS_REDIS_CLUSTER
  if (engine == "redis") {
    kvstore::RedisClusterKeyValueStore<std::string, int> counters{
        {.seeds = {address}, .key_prefix = "anywhere:"}};
    kvstore::JsonFile from{"words.json"};
    std::cout << "taken along: " << kvstore::migrate(from, counters, {.replace = true}) << " words\n";
    show("on the Redis Cluster of " + address, counters);
    return EXIT_SUCCESS;
  }
#endif
#ifdef KVSTORE_HAS_ETCD
  if (engine == "etcd") {
    kvstore::EtcdKeyValueStore<std::string, int> counters{
        {.endpoints = {address}, .key_prefix = "anywhere/"}};
    const kvstore::CallDeadline soon{30s};  // for all calls of this thread, in this block
    show("on the etcd of " + address, counters);
    return EXIT_SUCCESS;
  }
#endif
  std::cerr << "error: this program was built without \"" << engine << "\" at " << address << '\n';
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> words{argv, static_cast<std::size_t>(argc)};
  if (words.size() % 2 == 0) {
    std::cerr << "usage: anywhere [redis HOST:PORT] [etcd HOST:PORT]\n";
    return 2;
  }
  try {
    kvstore::KeyValueStore<std::string, int> in_memory;
    show("in memory", in_memory);
    {
      kvstore::BatchPersistentKeyValueStore<std::string, int> in_file{"words.json"};
      show("in words.json", in_file);
    }  // closed, and so saved
    int status = EXIT_SUCCESS;
    for (std::size_t i = 1; i < words.size(); i += 2) status |= show_remote(words[i], words[i + 1]);
    return status;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
