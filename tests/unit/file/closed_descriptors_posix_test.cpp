// SPDX-License-Identifier: MIT

// Programs that run without standard input, output and error. A file of ours could be given their numbers,
// and the output of the program must not end up in it.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "kvstore/detail/base/descriptors.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_file.hpp"
#include "support/temp_folder.hpp"

namespace closed_descriptors_test {

namespace fs = std::filesystem;
using kvstore::detail::OpenMode;
using kvstore::detail::StandardFiles;
using kvstore::detail::system_file_system;
using support::Call;
using support::in_child;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

void close_standard_files() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(descriptor);
}

/// Prints like a program that does not know that its descriptors are closed. @returns the descriptors that
/// accepted the text
std::string print() {
  std::string taken;
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::write(descriptor, "printed\n", 8) == 8) taken += std::to_string(descriptor);
  }
  return taken;
}

/// Works on a store, and prints before every call to the system. @returns the descriptors that accepted the
/// text
template <class Storage>
std::string work_and_print(const fs::path& path) {
  return in_child([&] {
    close_standard_files();
    std::string taken;
    support::FaultFileSystem files;
    files.before_each([&](Call, const fs::path&) { taken += print(); });
    Store store{std::make_unique<Storage>(path, files),
                {.batch_size = 1, .auto_save_interval = std::chrono::milliseconds{0}}};
    for (int i = 0; i < 4; ++i) store.upsert(std::to_string(i), i);
    store.compact();
    store.upsert("last", 4);
    store.close();
    return taken;
  });
}

/// The entries, or the reason why they cannot be read.
template <class Storage>
std::string found(const fs::path& path) {
  try {
    const Store store{std::make_unique<Storage>(path)};
    std::set<std::string> lines;
    store.for_each(
        [&](const std::string& key, int value) { lines.insert(key + '=' + std::to_string(value)); });
    std::string text;
    for (const std::string& line : lines) text += line + ' ';
    return text;
  } catch (const kvstore::Error& error) { return error.what(); }
}

}  // namespace

TEST_CASE("Closed descriptors: no file is opened as 0, 1 or 2, nor a lock") {
  const TempFolder folder;
  CHECK(in_child([&] {
          close_standard_files();
          auto& files = system_file_system();
          const auto made = support::opened(files, folder / "a", OpenMode::exclusive);
          const auto again = support::opened(files, folder / "a", OpenMode::update);
          const auto read = support::opened(files, folder / "a", OpenMode::read);
          const kvstore::detail::FileLock lock{files, folder / "b"};
          return "taken by: " + print();
        }) == "taken by: ");
  CHECK(support::read_file(folder / "a").empty());
}

TEST_CASE("Closed descriptors: what a program prints stays out of a JSON file and of its lock") {
  const TempFolder folder;
  CHECK(work_and_print<kvstore::JsonFile>(folder / "data.json") == "");
  CHECK(found<kvstore::JsonFile>(folder / "data.json") == "0=0 1=1 2=2 3=3 last=4 ");
}

TEST_CASE("Closed descriptors: what a program prints stays out of a journal") {
  const TempFolder folder;
  CHECK(work_and_print<kvstore::JsonJournal>(folder / "data.json") == "");
  CHECK(found<kvstore::JsonJournal>(folder / "data.json") == "0=0 1=1 2=2 3=3 last=4 ");
}

TEST_CASE("Closed descriptors: a file is not opened under their numbers, not even until it has another") {
  const TempFolder folder;
  support::write_file(folder / "a", "text");
  const std::string words = in_child([&]() -> std::string {
    close_standard_files();
    const ::rlimit few{3, 3};  // leaves no number for another file
    support::require_success(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
    const auto made = kvstore::detail::open_file(system_file_system(), folder / "a", OpenMode::truncate);
    return made.error ? "refused" : "made";
  });
  CHECK(words == "refused");
  CHECK(support::read_file(folder / "a") == "text");
}

TEST_CASE("Closed descriptors: they are taken while files are opened, and free again afterwards") {
  CHECK(in_child([&] {
          close_standard_files();
          std::string words;
          {
            const StandardFiles first;
            const auto second = std::make_unique<const StandardFiles>();
            const int opened = ::open("/", O_RDONLY);
            words += opened > 2 ? "opened elsewhere, taken by: " : "opened there, taken by: ";
            words += print();
            ::close(opened);
          }
          return words + ", then as " + std::to_string(::open("/", O_RDONLY));
        }) == "opened elsewhere, taken by: , then as 0");
}

TEST_CASE("Closed descriptors: several openings at once hold them until the last has ended") {
  CHECK(in_child([&] {
          close_standard_files();
          auto first = std::make_unique<const StandardFiles>();
          const StandardFiles second;
          first.reset();
          return std::string{::open("/", O_RDONLY) > 2 ? "elsewhere" : "there"};
        }) == "elsewhere");
}

TEST_CASE("Closed descriptors: a file that the program has put there meanwhile stays open") {
  CHECK(in_child([&] {
          auto taken = std::make_unique<const StandardFiles>();
          taken.reset();
          close_standard_files();
          taken = std::make_unique<const StandardFiles>();
          ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
          taken.reset();
          return "taken by: " + print();
        }) == "taken by: 2");
}

TEST_CASE("Closed descriptors: a child that is forked while a file is opened has them closed") {
  CHECK(in_child([&] {
          close_standard_files();
          const kvstore::detail::ForkGuard watched;
          const StandardFiles taken;
          const std::string child = in_child([&] {
            const std::string before = std::to_string(::fcntl(STDERR_FILENO, F_GETFD));
            const auto own = std::make_unique<const StandardFiles>();
            return before + ' ' + std::to_string(::open("/", O_RDONLY) > STDERR_FILENO);
          });
          return child;
        }) == "-1 1");
}

TEST_CASE("Closed descriptors: a file that is made when no other number is left is not left behind") {
  const TempFolder folder;
  const std::string words = in_child([&]() -> std::string {
    close_standard_files();
    const ::rlimit few{3, 3};
    support::require_success(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
    const auto made = kvstore::detail::open_file(system_file_system(), folder / "a", OpenMode::exclusive);
    return made.error ? "refused" : "made";
  });
  CHECK(words == "refused");
  CHECK(folder.names().empty());
}

}  // namespace closed_descriptors_test
