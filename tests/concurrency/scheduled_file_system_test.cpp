// SPDX-License-Identifier: MIT

// Tasks that share the files of a simulated disk.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/schedule_search.hpp"
#include "support/scheduled_file_system.hpp"
#include "support/scheduler.hpp"
#include "support/search_terms.hpp"
#include "support/simulated_disk.hpp"

namespace scheduled_file_system_test {

using kvstore::detail::File;
using kvstore::detail::OpenMode;
using support::ScheduledFileSystem;
using support::Scheduler;
using support::Search;
using support::SearchLimits;
using support::SimulatedDisk;
using support::Violation;

namespace {

std::unique_ptr<File> open(kvstore::detail::FileSystem& files) {
  return std::move(files.open("/sim/a", OpenMode::update, 0666).value);
}

std::string certain_text(const SimulatedDisk& disk) {
  const auto image = disk.certain();
  const auto file = image.find("/sim/a");
  return file == image.end() ? "none" : file->second.text();
}

/// Two tasks with one open file. Each writes a letter and syncs, and keeps the result of its sync.
struct TwoSyncs {
  std::error_code first;
  std::error_code second;
  std::string certain;

  void run(Scheduler& run, support::ScheduledCalls calls) {
    SimulatedDisk disk{{}, {.sector = 1}};
    ScheduledFileSystem files{disk, calls};
    const auto file = open(files);
    static_cast<void>(disk.sync_folder("/sim"));
    const auto add = [&](std::uint64_t at, const char* letter, std::error_code& outcome) {
      const auto written = file->write_at(at, letter);
      outcome = file->sync();
      if (written.error) outcome = written.error;
    };
    run.run_together({{"a", [&] { add(0, "a", first); }}, {"b", [&] { add(1, "b", second); }}});
    certain = certain_text(disk);
  }
};

}  // namespace

TEST_CASE("Scheduled files: every call is a point, so that two tasks' calls come in every order") {
  std::set<std::string> seen;
  const auto result = Search{{.preemptions = 9}}.run([&](Scheduler& run) {
    SimulatedDisk disk;
    ScheduledFileSystem files{disk};
    const auto file = open(files);
    const auto write = [&](const char* letter) {
      static_cast<void>(file->write_at(0, letter));
      static_cast<void>(file->write_at(1, letter));
    };
    run.run_together({{"x", [&] { write("x"); }}, {"y", [&] { write("y"); }}});
    seen.insert(disk.visible()["/sim/a"].text());
  });
  CHECK_FALSE(result.finding);
  CHECK(result.schedules == 20);  // two points each: six pieces in two rows of three
  CHECK(seen == std::set<std::string>{"xx", "xy", "yx", "yy"});
}

TEST_CASE("Scheduled files: calls that change nothing are points only if that is wanted") {
  const auto schedules = [](bool reads) {
    return Search{{.preemptions = 9}}
        .run([&](Scheduler& run) {
          SimulatedDisk disk;
          ScheduledFileSystem files{disk, {.reads = reads}};
          const auto look = [&] { static_cast<void>(files.status("/sim/a")); };
          run.run_together({{"one", look}, {"other", look}});
        })
        .schedules;
  };
  CHECK(schedules(true) == 6);
  CHECK(schedules(false) == 2);
}

TEST_CASE("Scheduled files: of two syncs under way at once that fail, one is told and the other is not") {
  std::set<std::string> both_lost;  // the reports of errors in the runs that left neither letter on disk
  const auto result = Search{{.preemptions = 2, .faults = 1}}.run([&](Scheduler& run) {
    TwoSyncs two;
    two.run(run, {.split_syncs = true});
    const std::string told = std::string{two.first ? "a" : ""} + (two.second ? "b" : "");
    if (two.certain != "ab" && told.empty()) throw Violation{"nobody was told"};
    if (two.certain.find_first_not_of('\0') == std::string::npos) both_lost.insert(told);
  });
  CHECK_FALSE(result.finding);
  CHECK(result.with_faults > 0);
  CHECK(both_lost == std::set<std::string>{"a", "b"});
}

TEST_CASE("Scheduled files: of two syncs one after the other, the one that failed is told") {
  const auto result = Search{{.preemptions = 2, .faults = 1}}.run([&](Scheduler& run) {
    TwoSyncs two;
    two.run(run, {});
    if (!two.first && two.certain.substr(0, 1) != "a")
      throw Violation{"a is lost, and its sync said nothing"};
  });
  REQUIRE(result.finding);  // because they share a file: b's sync may fail first, and drop a's letter
  const auto alone = Search{{.preemptions = 2, .faults = 1}}.run([&](Scheduler& run) {
    SimulatedDisk disk;
    ScheduledFileSystem files{disk};
    const auto file = open(files);
    static_cast<void>(disk.sync_folder("/sim"));
    run.run_together({{"a", [&] {
                         const bool written = !file->write_at(0, "a").error;
                         const bool synced = !file->sync();
                         if (written && synced && certain_text(disk) != "a") throw Violation{"a is lost"};
                       }}});
  });
  CHECK_FALSE(alone.finding);
  CHECK(alone.with_faults == 3);  // EIO or ENOSPC of the write, EIO of the sync
}

TEST_CASE("Scheduled files: the call that is named fails, with what is named, and calls are counted") {
  SimulatedDisk disk;
  ScheduledFileSystem files{disk};
  const auto file = open(files);
  files.fail_call(2, std::make_error_code(std::errc::no_space_on_device));
  CHECK_FALSE(file->write_at(0, "abcd").error);
  CHECK(file->write_at(0, "xyz").error == std::errc::no_space_on_device);
  CHECK(disk.visible()["/sim/a"].text() == "xycd");  // half of the write is done
  CHECK_FALSE(file->sync());
  CHECK(files.calls() == 4);
  CHECK(files.failures() == 1);
  files.fail_call(1, std::make_error_code(std::errc::io_error));
  CHECK_FALSE(file->sync() == std::error_code{});
}

}  // namespace scheduled_file_system_test
