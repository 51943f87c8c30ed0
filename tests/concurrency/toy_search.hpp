// SPDX-License-Identifier: MIT
#pragma once

// A search through the schedules of a toy program, shared by the tests of the scheduler.

#include "support/schedule_search.hpp"
#include "support/search_terms.hpp"

namespace toy_search {

using support::Search;
using support::SearchLimits;
using support::SearchResult;
using support::Violation;

inline void require(bool holds, const char* what) {
  if (!holds) throw Violation{what};
}

inline SearchResult search(const SearchLimits& limits, const Search::Scenario& scenario) {
  return Search{limits}.run(scenario);
}

}  // namespace toy_search
