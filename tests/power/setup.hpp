// SPDX-License-Identifier: MIT
#pragma once

// What one run is about, as words `name=value`: the script hands them to the guest, and the guest records
// them first, so that a recording says by itself how it is to be judged.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

namespace power {

inline constexpr std::size_t kMaxThreads = 8;

struct Setup {
  std::string fs = "ext4";            ///< file system, as `mount` names it
  std::string mount;                  ///< its mount options, in the guest and afterwards
  std::size_t size = 96;              ///< its size in MiB; acknowledgements are written behind it
  std::string store = "JsonJournal";  ///< see stores.hpp
  std::size_t batch = 1;              ///< Options::batch_size
  bool background = false;            ///< Options::batch_save
  std::size_t threads = 1;            ///< which work on the store; one more saves, one more compacts
  bool big = false;                   ///< some values have kilobytes
  std::size_t compact = 80;           ///< milliseconds between two calls of `compact`; 0 = none
  std::size_t save = 150;             ///< the same of `save`
  std::size_t seconds = 8;            ///< how long the guest works
  std::size_t seed = 1;

  /// Whether the store promises a bound at all.
  [[nodiscard]] bool has_bound() const noexcept { return !background; }
  /// How many acknowledged operations may be missing after power loss.
  [[nodiscard]] std::size_t bound() const noexcept { return batch - 1; }
  /// The same after a kill.
  [[nodiscard]] std::size_t kill_bound() const noexcept {
    return store.starts_with("JsonJournal") ? 0 : batch - 1;
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return std::uint64_t{size} << 20; }
};

namespace detail {

inline void read_number(std::string_view text, std::size_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    throw std::runtime_error{"expected a number, found \"" + std::string{text} + '"'};
}

inline void set(Setup& setup, std::string_view name, std::string_view value) {
  static const std::map<std::string_view, std::string Setup::*> kTexts{
      {"fs", &Setup::fs}, {"mount", &Setup::mount}, {"store", &Setup::store}};
  static const std::map<std::string_view, bool Setup::*> kFlags{{"background", &Setup::background},
                                                                {"big", &Setup::big}};
  static const std::map<std::string_view, std::size_t Setup::*> kNumbers{
      {"size", &Setup::size},       {"batch", &Setup::batch}, {"threads", &Setup::threads},
      {"compact", &Setup::compact}, {"save", &Setup::save},   {"seconds", &Setup::seconds},
      {"seed", &Setup::seed}};
  if (const auto text = kTexts.find(name); text != kTexts.end())
    setup.*text->second = value;
  else if (const auto flag = kFlags.find(name); flag != kFlags.end())
    setup.*flag->second = value == "1";
  else if (const auto number = kNumbers.find(name); number != kNumbers.end())
    read_number(value, setup.*number->second);
  else
    throw std::runtime_error{"unknown word in a setup: " + std::string{name}};
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
  if (setup.threads == 0 || setup.threads > kMaxThreads || setup.batch == 0)
    throw std::runtime_error{"threads are 1 to 8, and a batch has at least 1"};
  return setup;
}

}  // namespace power
