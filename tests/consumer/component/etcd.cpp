// SPDX-License-Identifier: MIT

// A program that keeps its store in etcd, as another project would write it; no etcd runs here.

#include <chrono>
#include <iostream>
#include <kvstore/etcd_key_value_store.hpp>
#include <string>

int main() {
  kvstore::EtcdOptions options;
  options.endpoints = {"127.0.0.1:1"};
  options.timeout = std::chrono::milliseconds{100};
  try {
    const kvstore::EtcdKeyValueStore<std::string, int> store{options};
  } catch (const kvstore::UnavailableError& error) {
    std::cout << error.what() << '\n';
    return 0;
  }
  return 1;
}
