// SPDX-License-Identifier: MIT

// The peculiarities of Windows: names in UTF-16, files that others hold open, and its errors.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <thread>

#include "kvstore/detail/file/windows.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_file.hpp"
#include "support/open_json_file.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

#if defined(min) || defined(max) || defined(near) || defined(far) || defined(WIN32_LEAN_AND_MEAN)
#error "a macro that is about <windows.h> has leaked"
#endif

namespace windows_files_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using kvstore::StorageError;
using kvstore::detail::OpenMode;
using kvstore::detail::system_file_system;
using kvstore::detail::windows_error;
using kvstore::detail::windows_patiently;
using kvstore::detail::WindowsHandle;
using support::load_from;
using support::opened;
using support::OpenJsonFile;
using support::read_file;
using support::save_to;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

namespace {

/// Opens a file without sharing it, or sharing it only as `shared` allows.
WindowsHandle hold(const fs::path& path, ::DWORD shared = 0) {
  return WindowsHandle{::CreateFileW(path.c_str(), GENERIC_READ, shared, nullptr, OPEN_EXISTING, 0, nullptr)};
}

/// The message of the error that `work` throws.
template <class Expected, class Work>
std::string words_of(const Work& work) {
  try {
    work();
  } catch (const Expected& error) { return error.what(); }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("Windows: names may have letters of any language, and messages give them in UTF-8") {
  const TempFolder folder;
  const fs::path path = folder / fs::path{u8"größe-ключ-数\U0001F511.json"};
  {
    Store store{path};
    store.upsert("a", 1);
    CHECK_THAT(words_of<kvstore::LockedError>([&] { Store{path}; }),
               ContainsSubstring("größe-ключ-数\U0001F511.json: already open for writing"));
  }
  {
    Store store{std::make_unique<kvstore::JsonJournal>(path)};
    CHECK(store.read("a") == 1);
    store.upsert("b", 2);
    store.compact();
  }
  CHECK(Store{path}.read("b") == 2);
}

TEST_CASE("Windows: a second open of a store is refused, and can read whose it is") {
  const TempFolder folder;
  const Store store{folder / "data.json"};
  const std::string holder = std::to_string(::GetCurrentProcessId());
  CHECK(words_of<kvstore::LockedError>([&] { Store{folder / "data.json"}; }) ==
        (folder / "data.json").string() + ": already open for writing by this process itself (process " +
            holder + "); end that store first, or use another file");
  CHECK(read_file(folder / "data.json.lock").starts_with(holder + "\n"));
}

TEST_CASE("Windows: a file that a reader has open is replaced in one step, or not at all") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  OpenJsonFile storage{path};
  save_to(storage, {{"a", "1"}});
  const std::string before = read_file(path);
  auto reader = opened(system_file_system(), path, OpenMode::read);
  bool replaced = false;
  try {
    save_to(storage, {{"a", "2"}});
    replaced = true;
  } catch (const StorageError& error) {
    WARN("no POSIX semantics here, as in Wine: " << error.what());
    CHECK(error.code() == std::errc::permission_denied);
    CHECK_THAT(error.what(), ContainsSubstring("not saved, and the previous file is intact"));
  }
  std::string seen(before.size(), '\0');
  REQUIRE(kvstore::detail::read_full(*reader, 0, seen).value == before.size());
  CHECK(seen == before);
  CHECK((read_file(path) == before) != replaced);
  CHECK_FALSE(fs::exists(folder / "data.json.tmp"));
  reader.reset();
  save_to(storage, {{"a", "3"}});
  CHECK(read_file(path) == "{\n\"a\": 3\n}\n");
}

TEST_CASE("Windows: a call that fails because others hold the file is repeated, and no other") {
  int calls = 0;
  const auto in_use_twice = [&]() -> ::DWORD { return ++calls <= 2 ? ERROR_SHARING_VIOLATION : 0; };
  CHECK_FALSE(windows_patiently(in_use_twice));
  CHECK(calls == 3);
  calls = 0;
  const auto full = [&]() -> ::DWORD { return ++calls, ERROR_DISK_FULL; };
  CHECK(windows_patiently(full) == std::errc::no_space_on_device);
  CHECK(calls == 1);
}

TEST_CASE("Windows: a sharing violation that ends is waited out") {
  const TempFolder folder;
  write_file(folder / "data.json", R"({"a": 1})");
  WindowsHandle other = hold(folder / "data.json");
  REQUIRE(other.is_open());
  support::FaultFileSystem files;
  std::jthread closer;
  files.before_each([&](support::Call call, const fs::path& path) {
    if (call != support::Call::open || path != folder / "data.json" || closer.joinable()) return;
    closer = std::jthread{[&] {
      std::this_thread::sleep_for(std::chrono::milliseconds{50});  // makes the first try fail, most likely
      ::CloseHandle(other.release());
    }};
  });
  JsonFile storage{folder / "data.json", files};
  CHECK(load_from(storage) == TextEntries{{"a", "1"}});
}

TEST_CASE("Windows: a sharing violation that lasts is an error that names the file and the reason") {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  write_file(path, R"({"a": 1})");
  {
    const WindowsHandle other = hold(path);
    REQUIRE(other.is_open());
    const auto start = std::chrono::steady_clock::now();
    const std::string words = words_of<StorageError>([&] { Store{path}; });
    CHECK(std::chrono::steady_clock::now() - start >= std::chrono::seconds{1});
    CHECK_THAT(words, ContainsSubstring(path.string() + ": cannot open: "));
    CHECK_THAT(words, ContainsSubstring("(Windows error 32)"));
  }
  OpenJsonFile storage{path};
  {
    const WindowsHandle other = hold(path, FILE_SHARE_READ);
    REQUIRE(other.is_open());
    CHECK_THAT(
        words_of<StorageError>([&] { save_to(storage, {{"a", "2"}}); }),
        ContainsSubstring(path.string() + ": not saved, and the previous file is intact: cannot rename"));
  }
  CHECK(read_file(path) == R"({"a": 1})");
  save_to(storage, {{"a", "2"}});
  CHECK(load_from(storage) == TextEntries{{"a", "2"}});
}

TEST_CASE("Windows: a folder in the file's place, or none around it, is refused by name") {
  const TempFolder folder;
  CHECK_THAT(words_of<StorageError>([&] { JsonFile{folder.path()}; }),
             ContainsSubstring("name a file, not a folder"));
  CHECK_THAT(words_of<StorageError>([&] { JsonFile{folder / "no" / "data.json"}; }),
             ContainsSubstring("make folder " + (folder / "no").string() + " first"));
  CHECK_THAT(words_of<StorageError>([&] { JsonFile{"NUL"}; }), ContainsSubstring("neither a regular file"));
  CHECK_FALSE(system_file_system().check_writable(folder.path()));
  CHECK(system_file_system().check_writable(folder / "no") == std::errc::no_such_file_or_directory);
}

TEST_CASE(
    "Windows: a file's identity stays with it when it is renamed, and its time is that of its last change") {
  const TempFolder folder;
  write_file(folder / "a", "1");
  write_file(folder / "b", "22");
  auto& files = system_file_system();
  const auto a = files.status(folder / "a").value;
  const auto b = files.status(folder / "b").value;
  CHECK(a.inode != b.inode);
  CHECK(a.device == b.device);
  REQUIRE_FALSE(files.rename(folder / "a", folder / "b"));
  CHECK(files.status(folder / "b").value == a);
  CHECK(opened(system_file_system(), folder / "b", OpenMode::read)->status().value == a);
  const std::chrono::nanoseconds now = std::chrono::system_clock::now().time_since_epoch();
  CHECK(std::chrono::abs(now - std::chrono::nanoseconds{a.modified}) < std::chrono::hours{1});
  CHECK(files.rename(folder / "a", folder / "b") == std::errc::no_such_file_or_directory);
  CHECK(files.remove(folder / "a") == std::errc::no_such_file_or_directory);
}

TEST_CASE("Windows: a file opened anew is empty, refused or kept, as its mode says") {
  const TempFolder folder;
  write_file(folder / "a", "kept");
  CHECK(system_file_system().open(folder / "a", OpenMode::exclusive, 0).error == std::errc::file_exists);
  opened(system_file_system(), folder / "a", OpenMode::update);
  CHECK(read_file(folder / "a") == "kept");
  opened(system_file_system(), folder / "a", OpenMode::truncate);
  CHECK(read_file(folder / "a").empty());
  opened(system_file_system(), folder / "b", OpenMode::exclusive);
  CHECK(folder.names() == std::set<std::string>{"a", "b"});
}

TEST_CASE("Windows: nothing is mapped, and so a journal's file can be truncated") {
  const TempFolder folder;
  const auto file = opened(system_file_system(), folder / "a", OpenMode::update);
  REQUIRE_FALSE(file->allocate(0, 1U << 20U));
  CHECK(file->map(0, 1U << 16U).error == std::errc::operation_not_supported);
  CHECK_FALSE(file->allocate(0, 1U << 10U));
  CHECK(file->status().value.size == 1U << 20U);
}

TEST_CASE("Windows: errors compare with those of the standard library, and keep their words") {
  CHECK(windows_error(ERROR_PATH_NOT_FOUND) == std::errc::no_such_file_or_directory);
  CHECK(windows_error(ERROR_ALREADY_EXISTS) == std::errc::file_exists);
  CHECK(windows_error(ERROR_ACCESS_DENIED) == std::errc::permission_denied);
  CHECK(windows_error(ERROR_HANDLE_DISK_FULL) == std::errc::no_space_on_device);
  CHECK(windows_error(ERROR_LOCK_VIOLATION) == std::errc::operation_would_block);
  CHECK(windows_error(ERROR_NOT_SUPPORTED) == std::errc::operation_not_supported);
  CHECK(windows_error(ERROR_CRC) != std::errc::io_error);  // has no POSIX counterpart
  CHECK_FALSE(windows_error(0));
  const std::string words = windows_error(ERROR_ACCESS_DENIED).message();
  CHECK_THAT(words, ContainsSubstring(" (Windows error 5)"));
  CHECK(words.size() > std::string{" (Windows error 5)"}.size());
}

}  // namespace windows_files_test
