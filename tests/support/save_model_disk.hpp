// SPDX-License-Identifier: MIT
#pragma once

// The disk of a `SaveModel`.

#include <algorithm>
#include <cstdint>

namespace support {

using OperationNumber = std::uint8_t;

/// The minimum that a disk holds. A reader reads a journal only up to the first missed change. A journal with
/// a failed sync keeps nothing more.
struct ModelDisk {
  OperationNumber kill = 0;   ///< everything up to this number outlives the process
  OperationNumber power = 0;  ///< everything up to this number outlives power loss

  // The journal that takes new lines.
  bool follows = true;          ///< the next process reads this journal
  OperationNumber written = 0;  ///< everything from the begin of the journal up to this number is in it
  OperationNumber synced = 0;
  bool torn = false;      ///< the journal has missed a change
  bool poisoned = false;  ///< a sync of the journal has failed
  bool lost = false;      ///< another program has put another file in its place

  // The compaction under way.
  OperationNumber base = 0;    ///< the number up to which the new base file goes
  OperationNumber joined = 0;  ///< the number up to which the new journal is synced

  bool operator==(const ModelDisk&) const = default;

  void append(OperationNumber last, std::uint32_t replaced) {
    const std::uint32_t new_ones = (std::uint32_t{2} << last) - (std::uint32_t{2} << written);
    torn = torn || (last > written && (new_ones & replaced) != 0);  // no line replaces all entries
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
    lost = lost && poisoned;  // the new journal takes the place
    kill = std::max({kill, base, written});
    power = std::max({power, base, joined});
  }
};

}  // namespace support
