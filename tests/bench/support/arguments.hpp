// SPDX-License-Identifier: MIT
#pragma once

// The command line that every benchmark understands.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace bench {

struct Arguments {
  std::string command;  ///< as the program was called
  std::size_t entries = 1'000'000;
  std::size_t runs = 5;
  bool smoke = false;                  ///< only see whether it runs
  std::vector<std::string> only;       ///< names of sections; empty = all
  std::filesystem::path json_file;     ///< empty = none
  std::vector<std::string> endpoints;  ///< host:port of the servers that some benchmarks need

  [[nodiscard]] bool wants(std::string_view section) const {
    return only.empty() || std::find(only.begin(), only.end(), section) != only.end();
  }
};

namespace detail {

[[noreturn]] inline void exit_for_usage(const std::string& why) {
  std::cerr << "error: " << why << " (--help tells what there is)\n";
  std::exit(2);
}

[[nodiscard]] inline std::size_t positive(std::string_view option, std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0) {
    exit_for_usage(std::string{option} + " needs a number above 0, not \"" + std::string{text} + '"');
  }
  return number;
}

[[nodiscard]] inline std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t comma = 0; comma != std::string_view::npos; list.remove_prefix(comma + 1)) {
    comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    if (comma == std::string_view::npos) break;
  }
  return parts;
}

[[noreturn]] inline void help(std::string_view what, std::span<const std::string_view> sections) {
  std::cout << what << "\n\n"
            << "  --entries N     entries in each store (1000000)\n"
               "  --runs N        rounds that count, after one that does not (5)\n"
               "  --only SECTION  this section only; may be repeated. Sections:";
  for (const std::string_view section : sections) std::cout << ' ' << section;
  std::cout << "\n  --json FILE     also write every figure of every round to FILE\n"
               "  --endpoints HOST:PORT,...  the servers, for benchmarks of servers\n"
               "  --smoke         a few entries and rounds: does it still run?\n"
               "  --help          this text\n\n"
               "Files are made in the working folder, and removed. Build it as tests/bench/run does.\n";
  std::exit(0);
}

}  // namespace detail

/// Reads the command line; ends the program for `--help` and for mistakes. `what` says what is measured.
[[nodiscard]] inline Arguments parse_arguments(int argc, char** argv, std::string_view what,
                                               std::span<const std::string_view> sections) {
  Arguments result;
  const std::span<char*> words{argv, static_cast<std::size_t>(argc)};
  for (const char* word : words) result.command += (result.command.empty() ? "" : " ") + std::string{word};
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view option = words[i];
    const auto value = [&] {
      if (++i == words.size()) detail::exit_for_usage(std::string{option} + " needs a value");
      return std::string_view{words[i]};
    };
    if (option == "--help" || option == "-h") {
      detail::help(what, sections);
    } else if (option == "--smoke") {
      result.smoke = true;
      result.entries = 2000;
      result.runs = 1;
    } else if (option == "--entries") {
      result.entries = detail::positive(option, value());
    } else if (option == "--runs") {
      result.runs = detail::positive(option, value());
    } else if (option == "--json") {
      result.json_file = value();
    } else if (option == "--endpoints") {
      result.endpoints = detail::split(value());
    } else if (option == "--only") {
      const std::string_view section = value();
      if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
        detail::exit_for_usage("no section " + std::string{section});
      }
      result.only.emplace_back(section);
    } else {
      detail::exit_for_usage("unknown option " + std::string{option});
    }
  }
  return result;
}

}  // namespace bench
