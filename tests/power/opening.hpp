// SPDX-License-Identifier: MIT
#pragma once

// Opens a store in a process of its own, which may also crash or hang, and brings back what the store held.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "power/descriptor.hpp"
#include "power/setup.hpp"
#include "power/stores.hpp"
#include "support/step_model.hpp"

namespace power {

enum class Afterwards {
  close,           ///< the store is closed
  leave,           ///< the process ends without a word, as if killed
  work_and_close,  ///< entries are added before the store is closed
};

inline constexpr const char* kAddedValue = "after the crash";
[[nodiscard]] inline std::vector<std::string> added_keys() {
  return {"added/1", "added/2", "added/3", "added/4", "added/5", "added/6", "added/7", "added/8"};
}

struct Opening {
  support::Contents contents;  ///< as the store was opened
  std::string trouble;         ///< why that did not get through; empty if it did
};

namespace detail {

inline constexpr unsigned kPatience = 120;  // seconds

inline void append_text(std::string& message, std::string_view text) {
  const std::uint64_t size = text.size();
  message.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
}
[[nodiscard]] inline std::optional<std::string> take_text(std::string_view& message) {
  std::uint64_t size = 0;
  if (message.size() < sizeof size) return std::nullopt;
  std::memcpy(&size, message.data(), sizeof size);
  message.remove_prefix(sizeof size);
  std::string text{message.substr(0, size)};
  message.remove_prefix(text.size());
  return text;
}

inline void write_all(int pipe, std::string_view text) {
  while (!text.empty()) {
    const auto done = ::write(pipe, text.data(), text.size());
    if (done <= 0) std::_Exit(1);
    text.remove_prefix(static_cast<std::size_t>(done));
  }
}

/// In the child: the first text is the trouble, then come keys and values.
inline void open_and_tell(const Setup& setup, const std::filesystem::path& folder, Afterwards afterwards,
                          int pipe) {
  std::string message;
  try {
    Store store{make_storage(setup, folder, true), options_of(setup)};
    append_text(message, "");
    for (const auto& [key, value] : support::contents_of(store)) {
      append_text(message, key);
      append_text(message, value);
    }
    if (afterwards == Afterwards::leave) {
      write_all(pipe, message);
      std::_Exit(0);
    }
    if (afterwards == Afterwards::work_and_close) {
      for (const std::string& key : added_keys()) store.upsert(key, kAddedValue);
    }
    store.close();
  } catch (const std::exception& error) {
    message.clear();
    append_text(message, error.what());
  }
  write_all(pipe, message);
}

[[nodiscard]] inline std::string read_all(int pipe) {
  std::string text;
  std::array<char, 1 << 16> block;
  for (::ssize_t got; (got = ::read(pipe, block.data(), block.size())) > 0;)
    text.append(block.data(), static_cast<std::size_t>(got));
  return text;
}

[[nodiscard]] inline Opening parse_opening(std::string_view message) {
  Opening opening;
  const auto trouble = take_text(message);
  opening.trouble = trouble ? *trouble : "the process said nothing";
  while (auto key = take_text(message)) opening.contents[std::move(*key)] = take_text(message).value_or("");
  return opening;
}

}  // namespace detail

[[nodiscard]] inline Opening open_in_child(const Setup& setup, const std::filesystem::path& folder,
                                           Afterwards afterwards) {
  int pipe[2];
  if (::pipe(pipe) != 0) throw_errno("pipe");
  const ::pid_t child = ::fork();
  if (child < 0) throw_errno("fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(pipe[0]);
    ::alarm(detail::kPatience);
    detail::open_and_tell(setup, folder, afterwards, pipe[1]);
    std::_Exit(0);
  }
  ::close(pipe[1]);
  Opening opening = detail::parse_opening(detail::read_all(pipe[0]));
  ::close(pipe[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child) throw_errno("waitpid");
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    opening.trouble =
        signal == SIGALRM ? "opening hangs" : "opening ends by signal " + std::to_string(signal);
  }
  return opening;
}

}  // namespace power
