// SPDX-License-Identifier: MIT

// A JSON file storage while the operating system fails. After any failed call, and after the end of the
// process at any call, the file holds the old entries or the new ones, in full.

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "kvstore/error.hpp"
#include "kvstore/storage/json_file.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/fault_file_system.hpp"
#include "support/open_json_file.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

namespace json_file_fault_test {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using kvstore::JsonFile;
using support::Call;
using support::Effect;
using support::Fault;
using support::FaultFileSystem;
using support::in_child;
using support::load_from;
using support::OpenJsonFile;
using support::read_file;
using support::save_to;
using support::TempFolder;
using support::TextEntries;
using support::write_file;
using Names = std::set<std::string>;

namespace {

const TextEntries kOld{{"a", "1"}, {"b", "\"old\""}};
const TextEntries kNew{{"a", "2"}, {"c", "\"new, and longer than the block of this test\""}};
const TextEntries kNext{{"d", "3"}};
constexpr std::size_t kBlock = 32;  // small, so that a save needs several writes

TextEntries entries_at(const fs::path& path) {
  JsonFile storage{path};
  return load_from(storage);
}

void put_old(const fs::path& path) { write_file(path, R"({"a": 1, "b": "old"})"); }

std::optional<kvstore::StorageError> save_error(JsonFile& storage, const TextEntries& entries) {
  try {
    save_to(storage, entries);
    return std::nullopt;
  } catch (const kvstore::StorageError& error) { return error; }
}

std::string save_message(JsonFile& storage, const TextEntries& entries) {
  const auto error = save_error(storage, entries);
  return error ? error->what() : "saved";
}

/// Makes a save with `fault` armed. @returns whether the save met it
bool save_with(const Fault& fault) {
  const TempFolder folder;
  const fs::path path = folder / "data.json";
  put_old(path);
  FaultFileSystem files;
  bool met = false;
  {
    OpenJsonFile storage{path, files, kBlock};
    files.inject(fault);
    const auto error = save_error(storage, kNew);
    met = files.failed() != 0;
    files.heal();
    const TextEntries found = load_from(storage);
    if (error) {
      CHECK((error->path() == path || error->path() == path.string() + ".tmp"));
      CHECK((found == kOld || found == kNew));
    } else {
      CHECK(found == kNew);
    }
    CHECK_FALSE((error && !met));
    save_to(storage, kNext);
    CHECK(load_from(storage) == kNext);
  }
  CHECK(folder.names() == Names{"data.json"});
  return met;
}

std::vector<std::error_code> all_errors() {
  std::vector<std::error_code> errors;
  for (const int code : {EIO, ENOSPC, EINTR, EBUSY, ENOENT, EEXIST}) {
    errors.emplace_back(code, std::generic_category());
  }
  return errors;
}

}  // namespace

TEST_CASE("JsonFile under faults: whichever call of a save fails, old or new entries are there in full") {
  for (const std::error_code& error : all_errors()) {
    for (const Effect effect : {Effect::none, Effect::partial, Effect::full}) {
      std::uint64_t nth = 1;
      for (bool met = true; met; ++nth) {
        INFO("call " << nth << ": " << error.message() << ", effect " << static_cast<int>(effect));
        met = save_with({.nth = nth, .error = error, .effect = effect});
      }
      CHECK(nth > 12);
    }
  }
}

TEST_CASE("JsonFile under faults: a failure that stays for all later calls leaves the old entries") {
  for (const int code : {EIO, ENOSPC}) {
    std::uint64_t nth = 1;
    for (bool met = true; met; ++nth) {
      INFO("from call " << nth << ": " << code);
      met = save_with({.nth = nth, .error = {code, std::generic_category()}, .forever = true});
    }
  }
}

TEST_CASE("JsonFile under faults: short writes and interrupted calls are no failure") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files, kBlock};
  files.inject({.call = Call::write, .effect = Effect::partial, .forever = true});
  CHECK(save_message(storage, kNew) == "saved");
  CHECK(load_from(storage) == kNew);
  for (const Call call : {Call::open, Call::status, Call::file_status, Call::write, Call::sync,
                          Call::set_mode, Call::sync_folder}) {
    files.inject({.error = std::make_error_code(std::errc::interrupted), .call = call});
    CHECK(save_message(storage, kOld) == "saved");
    CHECK(files.failed() == 1);
    CHECK(load_from(storage) == kOld);
  }
}

TEST_CASE("JsonFile under faults: no call that durability rests on may fail unnoticed") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files, kBlock};
  for (const Call call :
       {Call::open, Call::write, Call::sync, Call::close, Call::rename, Call::sync_folder}) {
    files.inject({.error = std::make_error_code(std::errc::io_error), .call = call});
    CHECK(save_error(storage, kNew));
  }
}

TEST_CASE("JsonFile under faults: a save syncs the file before the rename and the folder after it") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  std::vector<Call> order;
  std::vector<fs::path> paths;
  files.before_each([&](Call call, const fs::path& path) {
    if (call != Call::write && call != Call::sync && call != Call::rename && call != Call::sync_folder)
      return;
    order.push_back(call);
    paths.push_back(path);
  });
  save_to(storage, kNew);
  CHECK(order == std::vector{Call::write, Call::sync, Call::rename, Call::sync_folder});
  const fs::path temporary = folder / "data.json.tmp";
  CHECK(paths == std::vector{temporary, temporary, folder / "data.json", folder.path()});
}

TEST_CASE("JsonFile under faults: if only the folder cannot be synced, that is an error and says so") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  files.inject({.error = std::make_error_code(std::errc::io_error), .call = Call::sync_folder});
  CHECK_THAT(save_message(storage, kNew), ContainsSubstring("power loss may undo that"));
  CHECK(load_from(storage) == kNew);
}

TEST_CASE("JsonFile under faults: a failed write names the file, the call and the reason") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  files.inject({.error = std::make_error_code(std::errc::io_error), .call = Call::write});
  const std::string words = save_message(storage, kNew);
  const std::string path = (folder / "data.json").string();
  CHECK(words == path + ": not saved, and the previous file is intact: cannot write " + path +
                     ".tmp: " + std::make_error_code(std::errc::io_error).message());
}

TEST_CASE("JsonFile under faults: a full disk is called so, and the previous file intact") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  files.inject({.error = std::make_error_code(std::errc::no_space_on_device), .call = Call::write});
  CHECK_THAT(save_message(storage, kNew), ContainsSubstring("previous file is intact; the disk is full"));
}

TEST_CASE("JsonFile under faults: a file that is a mount point is called so, with the way out") {
  const TempFolder folder;
  FaultFileSystem files;
  OpenJsonFile storage{folder / "data.json", files};
  for (const std::errc code : {std::errc::device_or_resource_busy, std::errc::cross_device_link}) {
    files.inject({.error = std::make_error_code(code), .call = Call::rename});
    CHECK_THAT(save_message(storage, kNew), ContainsSubstring("mount its folder instead"));
  }
}

TEST_CASE("JsonFile under faults: whichever call of an open or load fails, the file stays as it was") {
  for (const int code : {EIO, EACCES, EINTR}) {
    for (std::uint64_t nth = 1;; ++nth) {
      const TempFolder folder;
      put_old(folder / "data.json");
      const std::string text = read_file(folder / "data.json");
      FaultFileSystem files;
      files.inject({.nth = nth, .error = {code, std::generic_category()}});
      INFO("call " << nth << ", error " << code);
      try {
        OpenJsonFile storage{folder / "data.json", files, kBlock};
        const TextEntries found = load_from(storage);
        CHECK(found == kOld);
      } catch (const kvstore::StorageError& error) {
        CHECK(error.code().value() == code);
        CHECK(code != EINTR);
      }
      CHECK(read_file(folder / "data.json") == text);
      CHECK(entries_at(folder / "data.json") == kOld);
      if (files.failed() == 0) break;
    }
  }
}

TEST_CASE(
    "JsonFile under faults: whichever call of a save a process dies in, a store opens clean afterwards") {
  std::string end;
  for (std::uint64_t nth = 1; end != "saved"; ++nth) {
    REQUIRE(nth < 1000);
    const TempFolder folder;
    const fs::path path = folder / "data.json";
    put_old(path);
    end = in_child([&]() -> std::string {
      std::uint64_t calls = 0;  // declared here to outlive the hook that counts
      FaultFileSystem files;
      OpenJsonFile storage{path, files, kBlock};
      files.before_each([&](Call, const fs::path&) {
        if (++calls == nth) ::_exit(0);
      });
      save_to(storage, kNew);
      return "saved";
    });
    INFO("call " << nth);
    const TextEntries found = entries_at(path);
    CHECK((found == kOld || found == kNew));
    CHECK(folder.names() == Names{"data.json"});
  }
}

TEST_CASE("JsonFile under faults: a real full disk keeps the previous file, and a smaller save succeeds") {
  if (const std::string reason = support::why_no_mounts(); !reason.empty()) {
    WARN("skipped: cannot mount a small disk: " << reason);
    return;
  }
  const TempFolder folder;
  const std::string outcome = in_child([&] {
    support::leave_mount_namespace();
    support::require_success(::mount("small", folder.path().c_str(), "tmpfs", 0, "size=1m"), "mount");
    JsonFile storage{folder / "data.json"};
    save_to(storage, kOld);
    const std::string words = save_message(storage, {{"large", '"' + std::string(3U << 20U, 'x') + '"'}});
    const bool kept = load_from(storage) == kOld && !fs::exists(folder / "data.json.tmp");
    return words + (kept ? " | kept | " : " | lost | ") + save_message(storage, kNew);
  });
  CHECK_THAT(outcome, ContainsSubstring("previous file is intact; the disk is full"));
  CHECK_THAT(outcome, ContainsSubstring(" | kept | saved"));
}

TEST_CASE("JsonFile under faults: a really bind-mounted file loads, and saving says what to mount instead") {
  if (const std::string reason = support::why_no_mounts(); !reason.empty()) {
    WARN("skipped: cannot mount a file: " << reason);
    return;
  }
  const TempFolder folder;
  put_old(folder / "data.json");
  write_file(folder / "other.json", R"({"other": 1})");
  const std::string outcome = in_child([&] {
    support::leave_mount_namespace();
    const fs::path from = folder / "other.json";
    const fs::path to = folder / "data.json";
    support::require_success(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr), "bind");
    JsonFile storage{to};
    const bool loaded = load_from(storage) == TextEntries{{"other", "1"}};
    const std::string words = save_message(storage, kNew);
    return words + (loaded && load_from(storage).size() == 1 ? " | kept" : " | lost");
  });
  CHECK_THAT(outcome, ContainsSubstring("mount its folder instead"));
  CHECK_THAT(outcome, ContainsSubstring(" | kept"));
  CHECK(folder.names() == Names{"data.json", "other.json"});
}

}  // namespace json_file_fault_test
