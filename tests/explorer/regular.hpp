// SPDX-License-Identifier: MIT
#pragma once

// The part of the scenarios that the regular checks explore, each completely: some 20,000 schedules together.
// Without compiler optimisation that takes half a minute of one processor.

#include <array>
#include <string_view>

#include "support/search_terms.hpp"

namespace explorer {

/// A scenario, and the limits of its exploration. No wait times out while a task could continue.
struct Regular {
  std::string_view scenario;
  unsigned preemptions;
  unsigned faults;
  bool every_lock = false;

  [[nodiscard]] support::SearchLimits limits() const {
    return {.preemptions = preemptions, .time_outs = 0, .faults = faults, .every_lock = every_lock};
  }
  /// The same limits, as options of the program.
  [[nodiscard]] const char* options() const {
    if (every_lock) return " --preemptions 2 --time-outs 0 --no-reads --every-lock";
    return faults == 0 ? " --preemptions 1 --time-outs 0 --no-reads"
                       : " --preemptions 0 --time-outs 0 --no-reads --faults";
  }
};

inline constexpr std::array kRegular{Regular{"journal/each/put+put", 1, 0},
                                     Regular{"journal/each/put+compact", 1, 0},
                                     Regular{"journal/each/save+close", 1, 0},
                                     Regular{"journal/each/compact+load_from", 1, 0},
                                     Regular{"journal/each/compact+close", 1, 0},
                                     Regular{"journal/each/put+put", 0, 1},
                                     Regular{"journal/each/put+compact", 0, 1},
                                     Regular{"journal/each/put+close", 0, 1},
                                     Regular{"journal/two/put+save", 0, 1},
                                     Regular{"journal/manual/compact+load_from", 0, 1},
                                     Regular{"journal/manual/put+load_from+compact", 0, 1},
                                     Regular{"journal/each/compact+follow", 0, 1},
                                     Regular{"journal/background/put+put", 0, 1},
                                     Regular{"journal/background/put+load_from", 0, 1},
                                     Regular{"journal/upserting handler/put+put", 0, 1},
                                     Regular{"journal/saving handler/put+put", 0, 1},
                                     Regular{"file/each/put+save", 0, 1},
                                     Regular{"file/background/put+close", 0, 1},
                                     Regular{"staged/each/put+compact", 0, 1},
                                     Regular{"marked/each/put+put", 0, 1},
                                     Regular{"marked/two/put+save", 1, 0},
                                     Regular{"marked/each/put+checkpoint", 1, 0},
                                     Regular{"marked/background/put+close", 0, 1},
                                     Regular{"file/two/save+load_from", 2, 0, true},
                                     Regular{"marked/two/clear+save", 2, 0, true}};

}  // namespace explorer
