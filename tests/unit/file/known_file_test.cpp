// SPDX-License-Identifier: MIT

// Tells a file that another program may have changed from an unchanged one.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>

#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/native.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"
#include "support/catch.hpp"
#include "support/fault_file_system.hpp"
#include "support/temp_folder.hpp"

namespace known_file_test {

namespace fs = std::filesystem;
using kvstore::detail::crc32c;
using kvstore::detail::FileState;
using kvstore::detail::KnownFile;
using support::Call;
using support::FaultFileSystem;
using support::TempFolder;
using support::write_file;

namespace {

const std::string kText = "as it was";

/// A file with the text `kText`, and the knowledge about it.
struct Known {
  explicit Known(bool with_crc = true) {
    write_file(path, kText);
    const auto status = files.status(path);
    if (with_crc)
      known.remember(status.value, crc32c(kText));
    else
      known.remember(status.value);
  }
  FileState compare() { return known.compare(files, path); }
  /// Gives the file a new modification time, as if it had been written.
  void touch() { fs::last_write_time(path, fs::last_write_time(path) + std::chrono::seconds{1}); }

  TempFolder folder;
  fs::path path = folder / "a";
  FaultFileSystem files;
  KnownFile known;
};

}  // namespace

TEST_CASE("Known file: one that was not touched is the same, and is not read to see that") {
  Known file;
  file.files.reset_counts();
  CHECK(file.compare() == FileState::same);
  CHECK(file.files.count() == file.files.count(Call::status));
}

TEST_CASE("Known file: what was never remembered is the same, whatever it is") {
  Known file;
  CHECK(KnownFile{}.compare(file.files, file.path) == FileState::same);
  CHECK(KnownFile{}.compare(file.files, file.folder / "none") == FileState::same);
}

TEST_CASE("Known file: one that is gone is missing") {
  Known file;
  fs::remove(file.path);
  CHECK(file.compare() == FileState::missing);
}

TEST_CASE("Known file: a file that is still missing is unchanged, and one that was made there is a change") {
  Known file;
  file.known.remember({});
  CHECK(file.compare() == FileState::changed);
  fs::remove(file.path);
  CHECK(file.compare() == FileState::same);
}

TEST_CASE("Known file: one that was rewritten in place is changed, longer or not") {
  for (const std::string text : {"as it is ", "as it was, and more", ""}) {
    Known file;
    write_file(file.path, text);
    file.touch();  // independent of the resolution of the clock
    INFO(text);
    CHECK(file.compare() == FileState::changed);
    CHECK(support::read_file(file.path) == text);
  }
}

TEST_CASE("Known file: one that was replaced by a rename is changed") {
  Known file;
  write_file(file.folder / "b", "as it is ");
  fs::rename(file.folder / "b", file.path);
  file.touch();
  CHECK(file.compare() == FileState::changed);
}

TEST_CASE("Known file: a folder in its place is a change") {
  Known file;
  fs::remove(file.path);
  fs::create_directory(file.path);
  CHECK(file.compare() == FileState::changed);
}

TEST_CASE("Known file: one that was merely touched is the same, and is read once to see that") {
  Known file;
  file.touch();
  CHECK(file.compare() == FileState::same);
  file.files.reset_counts();
  CHECK(file.compare() == FileState::same);
  CHECK(file.files.count(Call::read) == 0);
}

TEST_CASE("Known file: a copy that was put in its place is the same") {
  Known file;
  fs::copy_file(file.path, file.folder / "copy");
  fs::rename(file.folder / "copy", file.path);
  CHECK(file.compare() == FileState::same);
}

TEST_CASE("Known file: permissions do not count") {
  Known file;
  fs::permissions(file.path, fs::perms::owner_read);
  file.files.reset_counts();
  CHECK(file.compare() == FileState::same);
  CHECK(file.files.count(Call::read) == 0);
}

TEST_CASE("Known file: without a checksum a touch is a change") {
  Known file{false};
  CHECK(file.compare() == FileState::same);
  file.touch();
  CHECK(file.compare() == FileState::changed);
}

TEST_CASE("Known file: after a rename that may have been carried out both files are the same") {
  const std::string text = "ours, and newer";
  for (const bool carried_out : {true, false}) {
    Known file;
    write_file(file.folder / "b", text);
    file.known.expect(file.files.status(file.folder / "b").value, crc32c(text));
    if (carried_out) fs::rename(file.folder / "b", file.path);
    INFO(carried_out);
    CHECK(file.compare() == FileState::same);
    file.touch();
    CHECK(file.compare() == FileState::same);
    write_file(file.path, "somebody's");
    CHECK(file.compare() == FileState::changed);
  }
}

TEST_CASE("Known file: where it cannot be looked at, that is an error and no guess") {
  for (const Call call : {Call::status, Call::open, Call::file_status, Call::read}) {
    Known file;
    file.touch();
    file.files.inject({.error = std::make_error_code(std::errc::io_error), .call = call, .forever = true});
    CHECK_THROWS_AS(file.compare(), kvstore::StorageError);
    file.files.heal();
    CHECK(file.compare() == FileState::same);
  }
}

TEST_CASE("Known file: one that was replaced by another that may not be read is changed") {
  Known file;
  file.touch();
  file.files.inject({.error = std::make_error_code(std::errc::permission_denied), .call = Call::open});
  CHECK(file.compare() == FileState::changed);
}

}  // namespace known_file_test
