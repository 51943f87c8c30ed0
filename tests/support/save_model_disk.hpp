// SPDX-License-Identifier: MIT
#pragma once

// The disk of a `SaveModel`.

#include <algorithm>
#include <cstdint>

namespace support {

using OperationNumber = std::uint8_t;

/// The least that is on a disk: a journal that has missed one thing is read no further, and one whose sync
/// has failed keeps nothing more.
struct ModelDisk {
  OperationNumber kill = 0;   ///< up to here, all outlives the process
  OperationNumber power = 0;  ///< and power loss

  // The journal that is appended to.
  bool follows = true;          ///< a next process reads it
  OperationNumber written = 0;  ///< up to here, it has all since it began
  OperationNumber synced = 0;
  bool torn = false;      ///< it has missed something
  bool poisoned = false;  ///< a sync of it has failed
  bool lost = false;      ///< somebody has put something else in its place

  // The compaction under way.
  OperationNumber base = 0;    ///< the new snapshot's
  OperationNumber joined = 0;  ///< the new journal is synced up to here

  bool operator==(const ModelDisk&) const = default;

  void append(OperationNumber last, std::uint32_t replaced) {
    const std::uint32_t new_ones = (std::uint32_t{2} << last) - (std::uint32_t{2} << written);
    torn = torn || (last > written && (new_ones & replaced) != 0);  // no line says that all was replaced
    if (torn || last <= written) return;
    written = last;
    if (follows) kill = std::max(kill, written);
  }
  void sync(OperationNumber last) {
    if (poisoned) return;
    synced = std::max(synced, last);
    if (follows) power = std::max(power, synced);
  }
  void miss(bool sync) {
    torn = true;
    poisoned = poisoned || sync;
  }
  void lose() {
    miss(true);
    lost = true;
  }
  void begin_afresh(OperationNumber last) {
    follows = torn = poisoned = false;
    written = synced = last;
  }
  void save(OperationNumber last) {
    kill = power = std::max(power, last);
    lost = false;
  }
  void replace_base() {
    follows = true;
    lost = lost && poisoned;  // the new one is there instead
    kill = std::max({kill, base, written});
    power = std::max({power, base, joined});
  }
};

}  // namespace support
