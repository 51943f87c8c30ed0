// SPDX-License-Identifier: MIT
#pragma once

// The names in a folder of a simulated disk, and the sets of names that power loss may leave.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/simulated_file.hpp"

namespace support {

using InodePointer = std::shared_ptr<Inode>;

/// One change to the names in a folder. A move takes effect at both ends or at neither.
struct NameChange {
  enum class Kind { make, move, drop };
  Kind kind;
  std::string name;
  std::string to;
  InodePointer inode;
  Fate fate = Fate::open;

  void apply(std::map<std::string, InodePointer>& names) const {
    if (kind != Kind::make) {
      const auto found = names.find(name);
      if (found != names.end() && found->second == inode) names.erase(found);
    }
    if (kind == Kind::make) names[name] = inode;
    if (kind == Kind::move) names[to] = inode;
  }
};

/// The names in a folder. Power loss keeps any set of the changes since the folder's last sync.
struct Folder {
  std::map<std::string, InodePointer> live;
  std::map<std::string, InodePointer> synced;
  std::vector<NameChange> changes;

  void change(NameChange change) {
    change.apply(live);
    changes.push_back(std::move(change));
  }
  void sync(bool success) {
    if (!settle(changes, success, changes.size())) return;
    synced = live;
    changes.clear();
  }
  template <class Survives>
  [[nodiscard]] std::map<std::string, InodePointer> after_loss(Survives& survives) const {
    auto names = synced;
    for (const NameChange& change : changes) {
      if (change.fate == Fate::kept || survives()) change.apply(names);
    }
    return names;
  }
};

}  // namespace support
