// SPDX-License-Identifier: MIT
#pragma once

// What `repair` saves, and what it has to say about it.

#include <cstdint>
#include <string>
#include <string_view>

#include "entries.hpp"
#include "output.hpp"
#include "places.hpp"

namespace kvctl {

struct Salvage {
  Table table;
  std::uint64_t losses = 0;
  bool integer_keys = false;  ///< some key is INTEGER in SQLite

  /// Bytes from `from` to before `to` of a file could not be read.
  void lose(const fs::path& file, std::uint64_t from, std::uint64_t to, std::string_view why) {
    lose(file.string() + ": bytes " + std::to_string(from) + " to " + std::to_string(to) +
         " are lost: " + std::string{why});
  }
  void lose(const std::string& what) {
    ++losses;
    note(what);
  }
  static void note(const std::string& what) { complain(what); }
};

}  // namespace kvctl
