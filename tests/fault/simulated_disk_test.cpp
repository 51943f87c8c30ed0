// SPDX-License-Identifier: MIT

// The simulated disk itself. To programs it behaves like a real file system, and a crash leaves exactly the
// states that a disk may leave.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "support/catch.hpp"
#include "support/disk_contents.hpp"
#include "support/simulated_disk.hpp"
#include "support/temp_folder.hpp"

namespace simulated_disk_test {

using kvstore::detail::File;
using kvstore::detail::OpenMode;
using support::contents;
using support::CrashSampling;
using support::DiskImage;
using support::open;
using support::read;
using support::SimulatedDisk;
using support::SparseText;
using support::write;

namespace {

/// The sets of names that power loss may leave, each set as one text.
std::set<std::string> names(const SimulatedDisk& disk) {
  std::set<std::string> found;
  for (const DiskImage& image : disk.crash_states(support::kAllCrashes)) {
    std::string all;
    for (const auto& file : image) all += file.first.substr(5) + ' ';
    found.insert(all);
  }
  return found;
}

DiskImage image_of(const std::string& path, const std::string& text) { return {{path, SparseText{text}}}; }

using Texts = std::set<std::string>;

/// The results that a random program gets from a file system, call by call.
class Script {
 public:
  Script(kvstore::detail::FileSystem& files, std::filesystem::path folder)
      : files_{files}, folder_{std::move(folder)} {}

  std::vector<std::string> run(std::uint64_t seed) {
    std::mt19937_64 random{seed};
    std::vector<std::string> seen;
    for (int i = 0; i < 60; ++i) seen.push_back(step(random));
    handle_.reset();
    return seen;
  }

 private:
  std::string step(std::mt19937_64& random) {
    const auto path = folder_ / std::string(1, static_cast<char>('a' + random() % 3));
    const auto other = folder_ / std::string(1, static_cast<char>('a' + random() % 3));
    const std::uint64_t at = random() % 40;
    switch (random() % 12) {
      case 0:
      case 1:
        return open_as(path, static_cast<OpenMode>(at % 4));
      case 2:
        return words(files_.rename(path, other));
      case 3:
        return words(files_.remove(path));
      case 4:
        return words(files_.sync_folder(folder_));
      case 5: {
        const auto status = files_.status(path);
        return std::to_string(static_cast<int>(status.value.kind)) + " " + std::to_string(status.value.size);
      }
      case 6:
        return words(files_.read_link(path).error);
      default:
        return handle_ ? use_handle(random() % 6, at) : "no handle";
    }
  }

  std::string open_as(const std::filesystem::path& path, OpenMode mode) {
    auto opened = files_.open(path, mode, 0600);
    if (!opened.error) handle_ = std::move(opened.value);
    return words(opened.error);
  }

  std::string use_handle(std::uint64_t action, std::uint64_t at) {
    if (action == 0) return words(handle_->truncate(at));
    if (action == 1) return words(handle_->sync());
    if (action == 2) return words(handle_->try_lock());
    if (action == 3) return std::to_string(handle_->status().value.size);
    if (action == 4) return read(*handle_);
    return std::to_string(handle_->write_at(at, "0123456789").value);
  }

  static std::string words(const std::error_code& error) { return error ? error.message() : "done"; }

  kvstore::detail::FileSystem& files_;
  std::filesystem::path folder_;
  std::unique_ptr<File> handle_;
};

}  // namespace

TEST_CASE("Simulated disk: a program cannot tell it from a real one") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO("seed " << seed);
    const support::TempFolder folder;
    SimulatedDisk disk{{}, {.sector = 8}};
    const auto real = Script{kvstore::detail::system_file_system(), folder.path()}.run(seed);
    REQUIRE(Script{disk, "/sim"}.run(seed) == real);
  }
}

TEST_CASE("Simulated disk: what was synced under a synced name is all that power loss leaves") {
  SimulatedDisk disk;
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "text");
  CHECK(!file->sync());
  CHECK(!disk.sync_folder("/sim"));
  CHECK(contents(disk, "/sim/a") == Texts{"text"});
}

TEST_CASE("Simulated disk: syncing a file does not sync its name, nor a folder its files") {
  SimulatedDisk disk;
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "A");
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"A", "none"});
  write(*file, 0, "B");
  CHECK(!disk.sync_folder("/sim"));
  CHECK(contents(disk, "/sim/a") == Texts{"A", "B"});
}

TEST_CASE("Simulated disk: unsynced writes survive in any combination, the later without the earlier") {
  SimulatedDisk disk{image_of("/sim/a", "--")};
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "1");
  write(*file, 1, "2");
  CHECK(contents(disk, "/sim/a") == Texts{"--", "1-", "-2", "12"});
}

TEST_CASE("Simulated disk: an unsynced write is torn at sectors, wherever it begins") {
  SimulatedDisk disk{image_of("/sim/a", "------"), {.sector = 4}};
  const auto file = open(disk, "/sim/a");
  write(*file, 2, "xxxx");
  CHECK(contents(disk, "/sim/a") == Texts{"------", "--xx--", "----xx", "--xxxx"});
}

TEST_CASE("Simulated disk: a size may survive without its bytes, as zeros, and bytes without their size") {
  SimulatedDisk disk{image_of("/sim/a", "old")};
  const auto file = open(disk, "/sim/a");
  write(*file, 3, "+new");
  CHECK(contents(disk, "/sim/a") == Texts{"old", std::string{"old\0\0\0\0", 7}, "old+new"});
}

TEST_CASE("Simulated disk: reserved space reads as zeros, and may be lost until it is synced") {
  SimulatedDisk disk{image_of("/sim/a", "x")};
  const auto file = open(disk, "/sim/a");
  CHECK(!file->allocate(0, 3));
  const std::string grown{"x\0\0", 3};
  CHECK(read(*file) == grown);
  CHECK(contents(disk, "/sim/a") == Texts{"x", grown});
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{grown});
}

TEST_CASE("Simulated disk: where space cannot be reserved, that is said and nothing changes") {
  SimulatedDisk disk{image_of("/sim/a", "x"), {.can_allocate = false}};
  const auto file = open(disk, "/sim/a");
  CHECK(file->allocate(0, 3) == std::errc::operation_not_supported);
  CHECK(read(*file) == "x");
}

TEST_CASE("Simulated disk: a truncation may be lost while what was written after it survives") {
  SimulatedDisk disk{image_of("/sim/a", "long")};
  const auto file = open(disk, "/sim/a");
  CHECK(!file->truncate(0));
  write(*file, 0, "n");
  CHECK(contents(disk, "/sim/a") == Texts{"long", "nong", "", std::string(1, '\0'), "n"});
}

TEST_CASE("Simulated disk: names change independently of each other") {
  SimulatedDisk disk{image_of("/sim/old", "")};
  open(disk, "/sim/a").reset();
  open(disk, "/sim/b").reset();
  CHECK(!disk.remove("/sim/old"));
  CHECK(names(disk).size() == 8);
  CHECK(!disk.sync_folder("/sim"));
  CHECK(names(disk) == Texts{"a b "});
}

TEST_CASE("Simulated disk: a rename happens at both ends or at neither") {
  SimulatedDisk disk{{{"/sim/new", SparseText{"new"}}, {"/sim/old", SparseText{"old"}}}};
  CHECK(!disk.rename("/sim/new", "/sim/old"));
  CHECK(names(disk) == Texts{"new old ", "old "});
  CHECK(contents(disk, "/sim/old") == Texts{"old", "new"});
}

TEST_CASE("Simulated disk: a renamed file that was not synced may be empty or torn under its new name") {
  SimulatedDisk disk{image_of("/sim/a", "old"), {.sector = 1}};
  write(*open(disk, "/sim/new"), 0, "NE");
  CHECK(!disk.rename("/sim/new", "/sim/a"));
  const std::string zeros(2, '\0');
  CHECK(contents(disk, "/sim/a") ==
        Texts{"old", "", zeros, "NE", std::string{"N\0", 2}, std::string{"\0E", 2}});
}

TEST_CASE("Simulated disk: a removed file is still read through its handle, and its name may come back") {
  SimulatedDisk disk{image_of("/sim/a", "text")};
  const auto file = open(disk, "/sim/a");
  CHECK(!disk.remove("/sim/a"));
  CHECK(read(*file) == "text");
  CHECK(contents(disk, "/sim/a") == Texts{"text", "none"});
}

TEST_CASE("Simulated disk: one handle at a time has a file's lock, until it is closed") {
  SimulatedDisk disk;
  auto first = open(disk, "/sim/a");
  const auto second = open(disk, "/sim/a");
  CHECK(!first->try_lock());
  CHECK(!first->try_lock());
  CHECK(second->try_lock() == std::errc::operation_would_block);
  first.reset();
  CHECK(!second->try_lock());
}

TEST_CASE("Simulated disk: a killed process leaves what it wrote, unsynced as before, and no locks") {
  SimulatedDisk disk{image_of("/sim/a", "old")};
  const auto file = open(disk, "/sim/a");
  CHECK(!file->try_lock());
  write(*file, 0, "new");
  const auto after = disk.after_kill();
  CHECK(after->visible() == image_of("/sim/a", "new"));
  CHECK(contents(*after, "/sim/a") == Texts{"old", "new"});
  const auto next = open(*after, "/sim/a");
  CHECK(!next->try_lock());
  write(*file, 0, "ghost");
  CHECK(read(*next) == "new");
}

TEST_CASE("Simulated disk: once a sync has failed, later ones do not write what it dropped") {
  SimulatedDisk disk{image_of("/sim/a", "--")};
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "1");
  disk.fail_sync(1);
  CHECK(file->sync() == std::errc::io_error);
  CHECK(!file->sync());
  CHECK(read(*file) == "1-");
  CHECK(contents(disk, "/sim/a") == Texts{"--", "1-"});
  write(*file, 1, "2");
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"-2", "12"});
  write(*file, 0, "3");
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"32"});
}

TEST_CASE("Simulated disk: a folder's failed sync drops its names likewise") {
  SimulatedDisk disk;
  open(disk, "/sim/a").reset();
  disk.fail_sync(1);
  CHECK(disk.sync_folder("/sim") == std::errc::io_error);
  CHECK(!disk.sync_folder("/sim"));
  CHECK(names(disk) == Texts{"", "a "});
}

TEST_CASE("Simulated disk: a sample is legal, repeatable, and holds both ends") {
  SimulatedDisk disk{image_of("/sim/a", std::string(12, '-')), {.sector = 1}};
  const auto file = open(disk, "/sim/a");
  write(*file, 0, std::string(12, 'x'));
  const auto all = disk.crash_states(support::kAllCrashes);
  CHECK(all.size() == 4096);
  const CrashSampling some{.exhaustive_bits = 0, .samples = 50, .seed = 7};
  const auto sample = disk.crash_states(some);
  CHECK(sample == disk.crash_states(some));
  CHECK(sample.size() > 25);
  for (const DiskImage& image : sample) CHECK(std::count(all.begin(), all.end(), image) == 1);
  for (const char c : {'-', 'x'}) {
    CHECK(std::count(sample.begin(), sample.end(), image_of("/sim/a", std::string(12, c))) == 1);
  }
}

}  // namespace simulated_disk_test
