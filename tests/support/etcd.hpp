// SPDX-License-Identifier: MIT
#pragma once

// The etcd cluster that ctest starts for these tests, and further ones that a test starts for itself.

#include <signal.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/detail/etcd/client.hpp"
#include "kvstore/etcd_options.hpp"
#include "support/temp_folder.hpp"
#include "support/test_folder.hpp"

namespace support {

/// Runs a shell command. @throws if the command fails
inline void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error{"failed: " + command};
}

/// A running cluster, in a folder of support/etcd_cluster. Nodes that a test has killed are restarted at the
/// end of the test.
class EtcdCluster {
 public:
  explicit EtcdCluster(std::filesystem::path folder) : folder_{std::move(folder)} {
    std::ifstream in{folder_ / "endpoints"};
    for (std::string line; std::getline(in, line);) endpoints_.push_back(line);
    if (endpoints_.empty()) throw std::runtime_error{"no cluster in " + folder_.string()};
  }
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;
  ~EtcdCluster() {
    for (const std::size_t node : killed_) (void)std::system(command("restart", node).c_str());
  }

  [[nodiscard]] const std::vector<std::string>& endpoints() const noexcept { return endpoints_; }

  /// Options of a store that holds all keys with `prefix`.
  [[nodiscard]] kvstore::EtcdOptions options(const std::string& prefix) const {
    kvstore::EtcdOptions result;
    result.endpoints = endpoints_;
    result.key_prefix = prefix;
    return result;
  }

  /// Ends a node, counted from 0, as a crash would. Returns when the node is gone.
  void kill(std::size_t node) {
    killed_.push_back(node);
    run(command("kill", node));
  }
  /// The same, at once and without waiting.
  void kill_now(std::size_t node) {
    killed_.push_back(node);
    const std::string pid = read_file(folder_ / (std::to_string(node + 1) + ".pid"));
    if (::kill(std::stoi(pid), SIGKILL) != 0) throw std::runtime_error{"cannot kill " + pid};
  }
  void restart(std::size_t node) {
    run(command("restart", node));
    std::erase(killed_, node);
  }

  /// The number, from 0, of the node that leads the others.
  [[nodiscard]] std::size_t leader() const {
    for (std::size_t node = 0; node < endpoints_.size(); ++node) {
      kvstore::EtcdOptions options;
      options.endpoints = {endpoints_[node]};
      kvstore::detail::EtcdClient client{options};
      const auto answer = client.call("/v3/maintenance/status", "{}", kvstore::detail::EtcdRequest::read);
      if (answer.at("leader") == answer.at("header").at("member_id")) return node;
    }
    throw std::runtime_error{"the cluster has no leader"};
  }

 private:
  [[nodiscard]] std::string command(const char* verb, std::size_t node) const {
    return test_folder() + "/support/etcd_cluster " + verb + " '" + folder_.string() + "' " +
           std::to_string(node + 1);
  }

  std::filesystem::path folder_;
  std::vector<std::string> endpoints_;
  std::vector<std::size_t> killed_;
};

/// The cluster that all tests share.
[[nodiscard]] inline EtcdCluster shared_cluster() {
  const char* folder = std::getenv("KVSTORE_ETCD_CLUSTER");  // NOLINT(concurrency-mt-unsafe): before threads
  if (folder == nullptr) {
    throw std::runtime_error{
        "run these tests with ctest, or: tests/support/etcd_cluster start FOLDER; "
        "KVSTORE_ETCD_CLUSTER=FOLDER kvstore_etcd_tests"};
  }
  return EtcdCluster{folder};
}

/// A cluster of one node, which belongs to one test and is stopped at its end.
class OwnEtcd {
 public:
  /// Starts the node with further arguments, such as certificates.
  explicit OwnEtcd(const std::string& arguments = {}) {
    run("NODES=1 ETCD_ARGUMENTS='" + arguments + "' " + script("start"));
    cluster_ = std::make_unique<EtcdCluster>(folder_ / "etcd");
  }
  OwnEtcd(const OwnEtcd&) = delete;
  OwnEtcd& operator=(const OwnEtcd&) = delete;
  ~OwnEtcd() { (void)std::system(script("stop").c_str()); }

  [[nodiscard]] EtcdCluster& operator*() const noexcept { return *cluster_; }
  [[nodiscard]] EtcdCluster* operator->() const noexcept { return cluster_.get(); }

 private:
  [[nodiscard]] std::string script(const char* verb) const {
    return test_folder() + "/support/etcd_cluster " + verb + " '" + (folder_ / "etcd").string() + "'";
  }

  TempFolder folder_;
  std::unique_ptr<EtcdCluster> cluster_;
};

}  // namespace support
