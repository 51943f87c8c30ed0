// SPDX-License-Identifier: MIT
#pragma once

// What one run is about, as words `name=value`: the script hands them to the guest, and the guest records them
// first, so that a recording says by itself how it is to be judged.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace power {

inline constexpr std::size_t kMostThreads = 8;

/// A bound on what power loss may take, if the store promises one.
struct Setup {
  std::string fs = "ext4";            ///< file system, as `mount` names it
  std::string mount;                  ///< its mount options, in the guest and afterwards
  std::uint64_t size = 96;            ///< its size in MiB; acknowledgements are written behind it
  std::string store = "JsonJournal";  ///< see stores.hpp
  std::size_t batch = 1;              ///< Options::batch_size
  bool background = false;            ///< Options::batch_save
  std::size_t threads = 1;            ///< which work on the store; one more saves, one more compacts
  bool big = false;                   ///< some values have kilobytes
  std::size_t compact = 80;           ///< milliseconds between two calls of `compact`; 0 = none
  std::size_t seconds = 8;            ///< how long the guest works
  std::uint64_t seed = 1;

  /// How many acknowledged operations may be missing after power loss.
  [[nodiscard]] bool has_bound() const noexcept { return !background; }
  [[nodiscard]] std::size_t bound() const noexcept { return batch - 1; }
  /// The same after a kill.
  [[nodiscard]] std::size_t kill_bound() const noexcept {
    return store.starts_with("JsonJournal") ? 0 : batch - 1;
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return size << 20; }
};

namespace detail {

template <class Number>
void read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::runtime_error{"expected a number, found \"" + std::string{text} + '"'};
}

inline void set(Setup& setup, std::string_view name, std::string_view value) {
  if (name == "fs") setup.fs = value;
  else if (name == "mount") setup.mount = value;
  else if (name == "size") read_number(value, setup.size);
  else if (name == "store") setup.store = value;
  else if (name == "batch") read_number(value, setup.batch);
  else if (name == "background") setup.background = value == "1";
  else if (name == "threads") read_number(value, setup.threads);
  else if (name == "big") setup.big = value == "1";
  else if (name == "compact") read_number(value, setup.compact);
  else if (name == "seconds") read_number(value, setup.seconds);
  else if (name == "seed") read_number(value, setup.seed);
  else throw std::runtime_error{"unknown word in a setup: " + std::string{name}};
}

}  // namespace detail

/// Reads words that spaces part. @throws std::runtime_error for a word that it does not know
[[nodiscard]] inline Setup parse_setup(std::string_view text) {
  Setup setup;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size() + (word.size() < text.size() ? 1 : 0));
    const std::size_t sign = word.find('=');
    if (word.empty()) continue;
    detail::set(setup, word.substr(0, sign), sign == word.npos ? "" : word.substr(sign + 1));
  }
  if (setup.threads == 0 || setup.threads > kMostThreads || setup.batch == 0)
    throw std::runtime_error{"threads are 1 to 8, and a batch has at least 1"};
  return setup;
}

}  // namespace power
