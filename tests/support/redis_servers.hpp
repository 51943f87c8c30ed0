// SPDX-License-Identifier: MIT
#pragma once

// The Redis Cluster that tests/support/redis_cluster has started, and what tests do to its nodes.

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "kvstore/redis_cluster_options.hpp"

namespace support {

/// What a shell command prints. @throws std::runtime_error if it fails
inline std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe{::popen((command + " 2>&1").c_str(), "r"),
                                                             ::pclose};
  std::string text;
  std::array<char, 4096> part{};
  for (std::size_t got = 0; (got = std::fread(part.data(), 1, part.size(), pipe.get())) > 0;) {
    text.append(part.data(), got);
  }
  return text;
}

class RedisServers {
 public:
  static constexpr int kNodes = 6;

  RedisServers() {
    const char* const folder = std::getenv("KVSTORE_REDIS_CLUSTER");
    if (folder == nullptr) {
      throw std::runtime_error{"no servers; start some: tests/support/redis_cluster run FOLDER PROGRAM"};
    }
    folder_ = folder;
  }

  /// Short times, so that a failover does not take a test long.
  [[nodiscard]] kvstore::RedisClusterOptions options(std::string prefix = {}) const {
    kvstore::RedisClusterOptions options{.key_prefix = std::move(prefix),
                                         .timeout = std::chrono::seconds{20},
                                         .connect_timeout = std::chrono::milliseconds{500},
                                         .response_timeout = std::chrono::seconds{2}};
    for (int node = 1; node <= kNodes; ++node) options.seeds.push_back("127.0.0.1:" + port(node));
    return options;
  }

  [[nodiscard]] std::string port(int node) const { return word(node, "port"); }

  /// What `redis-cli` prints that asks this node.
  std::string cli(int node, const std::string& arguments) const {
    return output_of("redis-cli -h 127.0.0.1 -p " + port(node) + ' ' + arguments);
  }

  [[nodiscard]] bool leads(int node) const {
    return cli(node, "cluster nodes").find("myself,master") != std::string::npos;
  }
  [[nodiscard]] std::vector<int> leaders() const {
    std::vector<int> found;
    for (int node = 1; node <= kNodes; ++node) {
      if (leads(node)) found.push_back(node);
    }
    return found;
  }
  /// The node that serves a key.
  [[nodiscard]] int leader_of(const std::string& key) const {
    for (const int node : leaders()) {
      if (cli(node, "get " + key).find("MOVED") == std::string::npos) return node;
    }
    throw std::runtime_error{"no node serves " + key};
  }
  /// The node that replicates `leader`.
  [[nodiscard]] int replica_of(int leader) const {
    for (int node = 1; node <= kNodes; ++node) {
      const bool follows =
          cli(node, "info replication").find("master_port:" + port(leader)) != std::string::npos;
      if (node != leader && follows) return node;
    }
    throw std::runtime_error{"no node replicates " + port(leader)};
  }

  void signal(int node, int number) const {
    ::kill(static_cast<::pid_t>(std::stol(word(node, "pid"))), number);
  }
  /// Starts a node again that was killed, and waits until all is as in the beginning: three leaders, each
  /// with a replica that is up to date.
  void restart(int node) const {
    output_of(std::string{KVSTORE_TEST_FOLDER} + "/support/redis_cluster node " + folder_.string() + ' ' +
              std::to_string(node));
    wait_until_whole();
  }
  void wait_until_whole() const {
    for (int tries = 0; tries < 600; ++tries) {
      if (is_whole()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
    throw std::runtime_error{"the cluster did not recover within 30 s"};
  }

 private:
  [[nodiscard]] bool is_whole() const {
    int linked = 0;
    for (int node = 1; node <= kNodes; ++node) {
      if (cli(node, "cluster info").find("cluster_state:ok") == std::string::npos) return false;
      const std::string replication = cli(node, "info replication");
      linked += replication.find("master_link_status:up") != std::string::npos ||
                replication.find("state=online") != std::string::npos;
    }
    return linked == kNodes && leaders().size() == 3;
  }

  [[nodiscard]] std::string word(int node, const char* name) const {
    std::ifstream file{folder_ / std::to_string(node) / name};
    std::string text;
    if (!(file >> text)) throw std::runtime_error{"no " + (folder_ / std::to_string(node) / name).string()};
    return text;
  }

  std::filesystem::path folder_;
};

}  // namespace support
