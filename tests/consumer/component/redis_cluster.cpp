// SPDX-License-Identifier: MIT

// A program that keeps its store on a Redis Cluster, as another project would write it; no Redis runs here.

#include <chrono>
#include <iostream>
#include <kvstore/redis_cluster_key_value_store.hpp>
#include <string>

int main() {
  kvstore::RedisClusterOptions options;
  options.seeds = {"127.0.0.1:1"};
  options.timeout = std::chrono::milliseconds{100};
  try {
    const kvstore::RedisClusterKeyValueStore<std::string, int> store{options};
  } catch (const kvstore::UnavailableError& error) {
    std::cout << error.what() << '\n';
    return 0;
  }
  return 1;
}
