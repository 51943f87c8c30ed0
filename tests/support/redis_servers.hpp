// SPDX-License-Identifier: MIT
#pragma once

// The Redis Cluster that tests/support/redis_cluster has started, and the actions of tests on its nodes.

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/redis_cluster_options.hpp"
#include "support/eventually.hpp"
#include "support/test_folder.hpp"

namespace support {

/// The output of a shell command, whether the command succeeds or not.
inline std::string answer_of(const std::string& command) {
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

  /// Short timeouts, so that a failover does not take a test long.
  [[nodiscard]] kvstore::RedisClusterOptions options(std::string prefix = {}) const {
    kvstore::RedisClusterOptions options{.key_prefix = std::move(prefix),
                                         .timeout = std::chrono::seconds{20},
                                         .connect_timeout = std::chrono::milliseconds{500},
                                         .response_timeout = std::chrono::seconds{2}};
    for (int node = 1; node <= kNodes; ++node) options.seeds.push_back("127.0.0.1:" + port(node));
    return options;
  }

  [[nodiscard]] std::string port(int node) const { return word(node, "port"); }

  /// The output of a `redis-cli` command at this node.
  std::string cli(int node, const std::string& arguments) const {
    return answer_of("redis-cli -h 127.0.0.1 -p " + port(node) + ' ' + arguments);
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

  /// Kills a node, or stops it where it is. The node runs again at the end of the scope at the latest,
  /// whatever happens until then. So the next test finds three leaders with a replica each.
  class Outage {
   public:
    Outage(const RedisServers& servers, int node, int number)
        : servers_{servers}, node_{node}, killed_{number == SIGKILL} {
      servers_.signal(node_, number);
    }
    Outage(const Outage&) = delete;
    Outage& operator=(const Outage&) = delete;
    ~Outage() {
      try {
        end();
      } catch (const std::exception& error) { std::fprintf(stderr, "%s\n", error.what()); }
    }

    void end() {
      if (std::exchange(over_, true)) return;
      killed_ ? servers_.start(node_) : servers_.signal(node_, SIGCONT);
      servers_.wait_until_whole();
    }

   private:
    const RedisServers& servers_;
    int node_;
    bool killed_;
    bool over_ = false;
  };
  [[nodiscard]] Outage kill(int node) const { return {*this, node, SIGKILL}; }
  [[nodiscard]] Outage freeze(int node) const { return {*this, node, SIGSTOP}; }

  /// Starts the replicas anew, which a test that moves slots must do at its end. Before Redis 7.2 a node may
  /// keep in memory that the owner of a slot gave it up, although another owner has it now
  /// (redis/redis#12564). As a new leader the node then hands the slot to its killed predecessor once that
  /// comes back, and nobody serves the slot any more.
  void restart_replicas() const {
    for (const int leader : leaders()) kill(replica_of(leader)).end();
  }

  void wait_until_whole() const {
    if (!eventually([&] { return is_whole() && agree(); })) {
      throw std::runtime_error{"the cluster did not recover within a minute:\n" + state()};
    }
  }

 private:
  void signal(int node, int number) const {
    ::kill(static_cast<::pid_t>(std::stol(word(node, "pid"))), number);
  }
  void start(int node) const {
    answer_of(test_folder() + "/support/redis_cluster node " + folder_.string() + ' ' + std::to_string(node));
  }

  /// The view that each node has of the cluster, and the log of each node.
  [[nodiscard]] std::string state() const {
    std::string text;
    for (int node = 1; node <= kNodes; ++node) {
      text += "--- node " + std::to_string(node) + ", port " + port(node) + '\n' +
              cli(node, "cluster nodes") + cli(node, "info replication") +
              answer_of("tail -n 20 " + (folder_ / std::to_string(node) / "log.txt").string());
    }
    return text;
  }

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

  /// The assignment of slots, which takes a while to reach every node.
  [[nodiscard]] bool agree() const {
    return cli(1, "--cluster check 127.0.0.1:" + port(1)).find("All nodes agree") != std::string::npos;
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
