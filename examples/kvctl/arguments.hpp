// SPDX-License-Identifier: MIT
#pragma once

// What the command line says.

#include <string>
#include <vector>

namespace kvctl {

struct Arguments {
  std::string path;
  std::string other;    ///< the second file of export, import, migrate and repair
  std::string storage;  ///< json, journal or sqlite; empty = as the file says
  std::string to_storage;
  std::string key;
  std::vector<std::string> keys;  ///< of rm
  std::string value = "-";
  std::string prefix;
  bool create = false;
  bool update = false;
  bool replace = false;
  bool values = false;
  bool json = false;
  bool integer_keys = false;
  bool until_damage = false;
};

}  // namespace kvctl
