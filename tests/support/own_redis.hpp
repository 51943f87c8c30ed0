// SPDX-License-Identifier: MIT
#pragma once

// A Redis server, or a Sentinel, that belongs to one test.

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "support/eventually.hpp"
#include "support/redis_servers.hpp"
#include "support/scripted_server.hpp"
#include "support/temp_folder.hpp"

namespace support {

class OwnRedis {
 public:
  /// Starts one on a free port, with further arguments, such as "--requirepass secret", and waits until it
  /// answers `redis-cli` with the arguments `cli`. The argument for the port is "--port", and the port is
  /// free, unless said otherwise.
  explicit OwnRedis(const std::string& arguments = {}, const std::string& cli = {},
                    const std::string& port_argument = "--port", const std::string& port = free_port())
      : port_{port}, cli_{"redis-cli -p " + port_ + ' ' + cli + ' '} {
    process_ = ::fork();
    if (process_ == 0) {
      const std::string command = "cd '" + folder_.path().string() +
                                  "' && : > conf && exec redis-server conf " + port_argument + ' ' + port_ +
                                  ' ' + arguments + " --save '' > log 2>&1";
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    if (!eventually([&] { return ask("ping") == "PONG\n"; }))
      throw std::runtime_error{"no Redis server: " + read_file(folder_ / "log")};
  }
  OwnRedis(const OwnRedis&) = delete;
  OwnRedis& operator=(const OwnRedis&) = delete;
  ~OwnRedis() { kill(); }

  [[nodiscard]] const std::string& port() const noexcept { return port_; }
  [[nodiscard]] std::string endpoint() const { return "127.0.0.1:" + port_; }
  /// The answer to a command of `redis-cli`.
  [[nodiscard]] std::string ask(const std::string& command) const { return answer_of(cli_ + command); }

  void kill() {
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

 private:
  [[nodiscard]] static std::string free_port() {
    const std::string endpoint = Listener{}.endpoint();
    return endpoint.substr(endpoint.find(':') + 1);
  }

  TempFolder folder_;
  const std::string port_;
  const std::string cli_;
  ::pid_t process_ = 0;
};

}  // namespace support
