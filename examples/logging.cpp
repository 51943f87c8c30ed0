// SPDX-License-Identifier: MIT

// What a store tells of itself: its log, written by spdlog, to which any other library can be wired in the
// same way, and its metrics.

#include <spdlog/spdlog.h>

#include <cstddef>
#include <exception>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <string>

namespace {

void log_to_spdlog(const kvstore::LogEvent& event) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  spdlog::log(kLevels[static_cast<std::size_t>(event.level)], "{}", to_string(event));
}

}  // namespace

int main() {
  spdlog::set_level(spdlog::level::debug);
  const kvstore::Options options{
      .batch_size = 2, .logger = log_to_spdlog, .log_level = kvstore::LogLevel::debug};
  try {
    kvstore::BatchPersistentKeyValueStore<std::string, int> visits{
        std::make_unique<kvstore::JsonJournal>("logged.json"), options};
    visits.upsert("front page", 1);
    visits.modify("front page", [](int& count) { ++count; });
    visits.compact();
    const kvstore::Metrics metrics = visits.metrics();
    std::cout << metrics.of(kvstore::Verb::modify).done << " changed, " << metrics.unsaved
              << " not yet on disk, " << metrics.journal.compactions << " compactions\n";
    const std::string page = kvstore::to_prometheus(metrics, {{"store", "visits"}});
    std::cout << page.substr(0, page.find('\n', 200)) << "\n...\n";
  } catch (const std::exception& error) {
    std::cerr << "logging: " << error.what() << '\n';
    return 1;
  }
}
