// SPDX-License-Identifier: MIT

// The metrics in the format that Prometheus reads.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/output_of.hpp"
#include "support/temp_folder.hpp"

namespace prometheus_test {

using namespace std::chrono_literals;
using kvstore::to_prometheus;
using support::TempFolder;

namespace {

kvstore::Metrics example() {
  kvstore::Metrics metrics;
  metrics.entries = 7;
  metrics.operations[static_cast<std::size_t>(kvstore::Verb::read)] = {5, 2, 1};
  metrics.saves.succeeded = 3;
  metrics.saves.durations.add(3us);
  metrics.saves.durations.add(1h);
  metrics.saves.last_error = "disk full";
  metrics.load_duration = 1500ms;
  return metrics;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("Prometheus: counters, gauges and histograms, with labels") {
  const std::string text = to_prometheus(example(), {{"store", "users"}});
  CHECK(has_line(text, "# TYPE kvstore_entries gauge"));
  CHECK(has_line(text, R"(kvstore_entries{store="users"} 7)"));
  CHECK(has_line(text, R"(kvstore_operations_total{store="users",verb="read",outcome="refused"} 2)"));
  CHECK(has_line(text, R"(kvstore_saves_total{store="users",outcome="succeeded"} 3)"));
  CHECK(has_line(text, R"(kvstore_save_failing{store="users"} 1)"));
  CHECK(has_line(text, R"(kvstore_save_duration_seconds_bucket{store="users",le="2e-06"} 0)"));
  CHECK(has_line(text, R"(kvstore_save_duration_seconds_bucket{store="users",le="4e-06"} 1)"));
  CHECK(has_line(text, R"(kvstore_save_duration_seconds_bucket{store="users",le="33.554432"} 1)"));
  CHECK(has_line(text, R"(kvstore_save_duration_seconds_bucket{store="users",le="+Inf"} 2)"));
  CHECK(has_line(text, R"(kvstore_save_duration_seconds_count{store="users"} 2)"));
  CHECK(has_line(text, R"(kvstore_save_duration_seconds_sum{store="users"} 3600.000003)"));
  CHECK(has_line(text, R"(kvstore_load_duration_seconds{store="users"} 1.5)"));
  CHECK(has_line(to_prometheus(example()), "kvstore_entries 7"));
}

TEST_CASE("Prometheus: several stores share the lines that describe a metric") {
  const std::vector<kvstore::LabelledMetrics> stores{{example(), {{"store", "a"}}},
                                                     {example(), {{"store", "b"}}}};
  const std::string text = to_prometheus(stores);
  std::set<std::string> described;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE")) CHECK(described.insert(line).second);
  }
  CHECK(described.size() > 10);
  CHECK(text.find("kvstore_entries{store=\"a\"} 7\nkvstore_entries{store=\"b\"} 7\n") != std::string::npos);
}

TEST_CASE("Prometheus: values of labels are escaped, and names that it would refuse are refused") {
  const std::string text = to_prometheus(example(), {{"path", "a\"b\\c\nd"}});
  CHECK(has_line(text, R"(kvstore_entries{path="a\"b\\c\nd"} 7)"));
  for (const char* name : {"", "le", "verb", "outcome", "__name__", "1st", "a-b", "ä"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(to_prometheus(example(), {{name, "x"}}), kvstore::UsageError);
  }
  CHECK_THROWS_AS(to_prometheus(example(), {{"store", "\xFF"}}), kvstore::ValueError);
}

#ifndef _WIN32  // Windows has a different shell

TEST_CASE("Prometheus: promtool accepts the text, with nothing to remark") {
  const TempFolder folder;
  kvstore::BatchPersistentKeyValueStore<int, int> store{
      std::make_unique<kvstore::JsonJournal>(folder / "data.json"), {.batch_size = 5}};
  for (int i = 0; i < 100; ++i) store.create(i, i);
  const std::vector<kvstore::LabelledMetrics> stores{{store.metrics(), {{"store", "a \"quoted\"\nname"}}},
                                                     {example(), {{"store", "b"}}}};
  support::write_file(folder / "metrics.txt", to_prometheus(stores));
  CHECK(support::output_of("promtool check metrics 2>&1 < " + (folder / "metrics.txt").string()) == "");
}

#endif

TEST_CASE("Prometheus: points of one name follow each other, and each name has one unit") {
  std::set<std::string> finished;
  std::string current;
  kvstore::for_each_metric(example(), [&](const kvstore::MetricPoint& point) {
    if (point.name != current) {
      CHECK(finished.insert(current).second);
      CHECK_FALSE(finished.contains(std::string{point.name}));
      current = point.name;
    }
    CHECK_FALSE(point.unit.empty());
    CHECK(point.description.ends_with('.'));
  });
}

}  // namespace prometheus_test
