// SPDX-License-Identifier: MIT

// The mappings of the simulated disk, and its syncs, several of which may be under way at once.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/file/file_system.hpp"
#include "support/catch.hpp"
#include "support/disk_contents.hpp"
#include "support/simulated_disk.hpp"

namespace simulated_mapping_test {

using kvstore::detail::File;
using kvstore::detail::OpenMode;
using support::contents;
using support::DiskImage;
using support::open;
using support::read;
using support::SimulatedDisk;
using support::SparseText;
using support::write;

namespace {

DiskImage image_of(const std::string& path, const std::string& text) { return {{path, SparseText{text}}}; }

using Texts = std::set<std::string>;

/// A disk on which any part of a file can be mapped.
constexpr std::size_t kSector = 4;
SimulatedDisk mappable_disk(const std::string& text, std::size_t sector = kSector) {
  return SimulatedDisk{image_of("/sim/a", text), {.sector = sector, .map_unit = kSector}};
}

std::unique_ptr<kvstore::detail::Mapping> map(File& file, std::uint64_t offset, std::size_t bytes) {
  auto mapped = file.map(offset, bytes);
  REQUIRE(!mapped.error);
  return std::move(mapped.value);
}

void store(kvstore::detail::Mapping& mapping, std::size_t at, std::string_view text) {
  std::copy(text.begin(), text.end(), mapping.bytes().subspan(at).begin());
}

std::string text_of(const kvstore::detail::Mapping& mapping) {
  return {mapping.bytes().begin(), mapping.bytes().end()};
}

}  // namespace

TEST_CASE("Simulated disk: a mapping shows the file, and reads show at once what is stored through it") {
  auto disk = mappable_disk("abcdefgh");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 4, 4);
  CHECK(text_of(*mapping) == "efgh");
  store(*mapping, 1, "XY");
  CHECK(read(*file) == "abcdeXYh");
  CHECK(disk.visible() == image_of("/sim/a", "abcdeXYh"));
  CHECK(read(*open(*disk.after_kill(), "/sim/a")) == "abcdeXYh");
}

TEST_CASE(
    "Simulated disk: a mapping shows at once what is written, and writing keeps what was stored beside it") {
  auto disk = mappable_disk("abcdefgh");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 8);
  store(*mapping, 0, "X");
  write(*file, 2, "YYY");
  CHECK(text_of(*mapping) == "XbYYYfgh");
  CHECK(read(*file) == "XbYYYfgh");
  const auto other = open(disk, "/sim/a");
  CHECK(text_of(*map(*other, 0, 4)) == "XbYY");
}

TEST_CASE("Simulated disk: what is stored through a mapping survives sector by sector, in any combination") {
  auto disk = mappable_disk("--------");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 8);
  store(*mapping, 2, "1234");
  CHECK(contents(disk, "/sim/a") == Texts{"--------", "--12----", "----34--", "--1234--"});
  store(*mapping, 3, "5");
  CHECK(contents(disk, "/sim/a") ==
        Texts{"--------", "--12----", "--15----", "----34--", "--1234--", "--1534--"});
}

TEST_CASE("Simulated disk: a sync makes certain what was stored through a mapping before it, and no more") {
  auto disk = mappable_disk("----");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 4);
  store(*mapping, 0, "12");
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"12--"});
  store(*mapping, 2, "3");
  CHECK(contents(disk, "/sim/a") == Texts{"12--", "123-"});
}

TEST_CASE("Simulated disk: a failed sync drops what was stored through a mapping, until it is stored again") {
  auto disk = mappable_disk("----");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 4);
  store(*mapping, 0, "12");
  disk.fail_sync(1);
  CHECK(file->sync() == std::errc::io_error);
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"----", "12--"});
  store(*mapping, 2, "3");
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"123-"});
}

TEST_CASE("Simulated disk: the version tells of stores through a mapping") {
  auto disk = mappable_disk("----");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 4);
  const std::uint64_t before = disk.version();
  CHECK(disk.version() == before);
  store(*mapping, 0, "1");
  CHECK(disk.version() != before);
}

TEST_CASE("Simulated disk: a mapping outlives its file's handle and its name, and its stores its end") {
  auto disk = mappable_disk("----");
  const auto reader = open(disk, "/sim/a");
  auto file = open(disk, "/sim/a");
  auto mapping = map(*file, 0, 4);
  file.reset();
  CHECK(!disk.remove("/sim/a"));
  store(*mapping, 0, "1");
  CHECK(disk.mappings() == 1);
  mapping.reset();
  CHECK(disk.mappings() == 0);
  CHECK(read(*reader) == "1---");
}

TEST_CASE("Simulated disk: what is stored behind the end of a truncated file is lost, and zeros grow there") {
  auto disk = mappable_disk("abcdefgh");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 8);
  CHECK(!file->truncate(3));
  CHECK(text_of(*mapping) == std::string{"abc\0\0\0\0\0", 8});
  store(*mapping, 2, "XYZXYZ");
  CHECK(read(*file) == "abX");
  CHECK(!file->allocate(0, 8));
  CHECK(read(*file) == std::string{"abX\0\0\0\0\0", 8});
  CHECK(text_of(*mapping) == read(*file));
}

TEST_CASE(
    "Simulated disk: stores through the mapping of a killed process's file do not reach the next process") {
  auto disk = mappable_disk("----");
  const auto file = open(disk, "/sim/a");
  const auto mapping = map(*file, 0, 4);
  store(*mapping, 0, "1");
  const auto after = disk.after_kill();
  store(*mapping, 1, "2");
  CHECK(read(*open(*after, "/sim/a")) == "1---");
  CHECK(contents(*after, "/sim/a") == Texts{"----", "1---"});
}

TEST_CASE("Simulated disk: it maps what the contract allows, and says why it does not") {
  constexpr std::size_t kUnit = std::size_t{64} << 10;
  SimulatedDisk disk{image_of("/sim/a", std::string(std::size_t{1} << 17, '-')), {.map_unit = kUnit}};
  const auto file = open(disk, "/sim/a");
  CHECK(map(*file, kUnit, kUnit)->bytes().size() == kUnit);
  CHECK(file->map(4096, kUnit).error == std::errc::invalid_argument);
  CHECK(file->map(0, 4096).error == std::errc::invalid_argument);
  CHECK(file->map(0, 0).error == std::errc::invalid_argument);
  CHECK(open(disk, "/sim/a", OpenMode::read)->map(0, kUnit).error == std::errc::permission_denied);
  CHECK(!file->close());
  CHECK(file->map(0, kUnit).error == std::errc::bad_file_descriptor);
  SimulatedDisk plain{image_of("/sim/a", std::string(kUnit, '-')), {.can_map = false}};
  CHECK(open(plain, "/sim/a")->map(0, kUnit).error == std::errc::operation_not_supported);
}

TEST_CASE("Simulated disk: nothing is certain before a sync has ended, nor what is written while it runs") {
  SimulatedDisk disk{image_of("/sim/a", "--"), {.sector = 1}};
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "1");
  disk.during_sync([&] {
    CHECK(contents(disk, "/sim/a") == Texts{"--", "1-"});
    write(*file, 1, "2");
  });
  CHECK(!file->sync());
  CHECK(contents(disk, "/sim/a") == Texts{"1-", "12"});
}

TEST_CASE(
    "Simulated disk: of two syncs at once the one that ends first is told of a failure, the other is not") {
  SimulatedDisk disk{image_of("/sim/a", "--")};
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "1");
  std::error_code inner;
  bool nested = false;
  disk.during_sync([&] {
    if (!std::exchange(nested, true)) inner = file->sync();
  });
  disk.fail_sync(1);
  CHECK(!file->sync());  // the sync has failed, but the other one has reported that
  CHECK(inner == std::errc::io_error);
  CHECK(contents(disk, "/sim/a") == Texts{"--", "1-"});
}

TEST_CASE(
    "Simulated disk: each that has a file open is told of a failed sync, later ones only if nobody was") {
  SimulatedDisk disk{image_of("/sim/a", "--")};
  const auto one = open(disk, "/sim/a");
  const auto other = open(disk, "/sim/a");
  write(*one, 0, "1");
  disk.fail_sync(1);
  CHECK(one->sync() == std::errc::io_error);
  CHECK(!open(disk, "/sim/a")->sync());
  CHECK(other->sync() == std::errc::io_error);
  CHECK(!other->sync());
}

TEST_CASE("Simulated disk: what is certain is the least of what power loss may leave") {
  SimulatedDisk disk{image_of("/sim/a", "--"), {.sector = 1}};
  const auto file = open(disk, "/sim/a");
  write(*file, 0, "1");
  CHECK(!file->sync());
  write(*file, 1, "2");
  open(disk, "/sim/b").reset();
  CHECK(disk.certain() == image_of("/sim/a", "1-"));
}

}  // namespace simulated_mapping_test
