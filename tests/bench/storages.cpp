// SPDX-License-Identifier: MIT

// The storages side by side: the same store of 16-byte keys and 100-byte values in each of them, filled and
// saved once, opened again, and updated with a save every 1000 operations.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/files.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "bench/support/stores.hpp"
#include "kvstore/kvstore.hpp"
#include "support/storages.hpp"

namespace {

using bench::Samples;
using bench::Unit;
using support::StorageCase;
using Store = bench::Store<std::string>;

constexpr std::size_t kBatch = 1000;

std::unique_ptr<Store> open(const StorageCase& storage, const bench::WorkFolder& folder) {
  return std::make_unique<Store>(storage.open(folder / ""), bench::quiet());
}

void fill_and_save(const StorageCase& storage, const bench::WorkFolder& folder, std::size_t entries) {
  const auto store = open(storage, folder);
  bench::fill(*store, entries, bench::value_of);
  store->close();
}

/// One round of each storage in turn; `round` gets a folder of the storage's own.
void race(bench::Report& report, const bench::Arguments& arguments, const std::string& id,
          const std::string& title, std::size_t operations, bool filled,
          const std::function<std::vector<double>(const StorageCase&, const bench::WorkFolder&)>& round) {
  auto table = report.section(id, title, {"entries a second", "processor time"});
  std::vector<bench::Contestant> contestants;
  for (const StorageCase& storage : support::storages()) {
    contestants.push_back({storage.name, [&storage, &arguments, &round, filled] {
                             const bench::WorkFolder folder;
                             if (filled) fill_and_save(storage, folder, arguments.entries);
                             return round(storage, folder);
                           }});
  }
  const auto results = bench::interleave(arguments.runs, contestants);
  for (std::size_t i = 0; i < results.size(); ++i) {
    Samples rates;
    for (const double seconds : results[i][0].values()) rates.add(static_cast<double>(operations) / seconds);
    table.row(contestants[i].name, {{rates, Unit::per_second}, {results[i][1], Unit::seconds}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kSections[] = {"fill", "reload", "update"};
  const auto arguments =
      bench::parse_arguments(argc, argv, "The storages side by side: fill, reload and update.", kSections);
  bench::Report report{arguments};
  if (arguments.wants("fill")) {
    race(report, arguments, "fill", "Filling a store and saving it once", arguments.entries, false,
         [&](const StorageCase& storage, const bench::WorkFolder& folder) {
           return bench::timed([&] { fill_and_save(storage, folder, arguments.entries); });
         });
  }
  if (arguments.wants("reload")) {
    race(report, arguments, "reload", "Opening it again", arguments.entries, true,
         [&](const StorageCase& storage, const bench::WorkFolder& folder) {
           return bench::timed([&] { bench::keep(open(storage, folder)->size()); });
         });
  }
  if (arguments.wants("update")) {
    const std::size_t updates = std::min(arguments.entries, 10 * kBatch);
    race(report, arguments, "update", "Updates of a filled store, a save every 1000", updates, true,
         [&](const StorageCase& storage, const bench::WorkFolder& folder) {
           const auto store = open(storage, folder);
           return bench::timed([&] {
             for (std::size_t i = 0; i < updates; ++i) {
               store->update(bench::key_of(i * 7919 % arguments.entries), bench::value_of(i));
               if ((i + 1) % kBatch == 0) store->save();
             }
             store->save();
           });
         });
  }
  report.finish();
}
