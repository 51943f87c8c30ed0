// SPDX-License-Identifier: MIT
#pragma once

// Runs a measurement in a process of its own, as after a restart, and watches how much memory it takes.
// Linux.

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

namespace detail {

[[noreturn]] inline void run_and_exit(int out, const std::function<std::vector<double>()>& measure) {
  try {
    const std::vector<double> figures = measure();
    const std::size_t size = figures.size() * sizeof(double);
    const bool sent = ::write(out, figures.data(), size) == static_cast<ssize_t>(size);
    ::_exit(sent ? 0 : 1);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    ::_exit(1);
  }
}

}  // namespace detail

/// Runs `measure` in a child process, with a heap that has given back what it did not use, and returns what
/// it returns. Call it while there is one thread only.
[[nodiscard]] inline std::vector<double> in_child(const std::function<std::vector<double>()>& measure) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) throw std::runtime_error{"no pipe"};
  ::malloc_trim(0);
  std::cout.flush();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error{"no child process"};
  if (child == 0) detail::run_and_exit(pipe[1], measure);
  ::close(pipe[1]);
  std::vector<double> figures;
  for (double figure = 0; ::read(pipe[0], &figure, sizeof figure) == sizeof figure;)
    figures.push_back(figure);
  ::close(pipe[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error{"a measurement in a child process failed"};
  }
  return figures;
}

/// How far this process's memory rises above where it is now. The kernel keeps the peak, so nothing between
/// two looks is missed; it counts pages in batches, which makes the figure uncertain by about 0.25 MiB.
class PeakMemory {
 public:
  /// What earlier work has freed goes back to the system first: else what comes could use it unseen.
  PeakMemory() {
    ::malloc_trim(0);
    std::ofstream reset{"/proc/self/clear_refs"};
    if (!(reset << "5" << std::flush))
      throw std::runtime_error{"this system cannot reset the peak of memory"};
    start_ = kilobytes("VmRSS:");
  }

  /// In bytes.
  [[nodiscard]] double rise() const { return (kilobytes("VmHWM:") - start_) * 1024; }
  /// Of what is still there, once what was freed has gone back to the system.
  [[nodiscard]] double kept() const {
    ::malloc_trim(0);
    return (kilobytes("VmRSS:") - start_) * 1024;
  }

 private:
  [[nodiscard]] static double kilobytes(std::string_view field) {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(field)) return std::stod(line.substr(field.size()));
    }
    throw std::runtime_error{"/proc/self/status lacks " + std::string{field}};
  }

  double start_ = 0;
};

}  // namespace bench
