// SPDX-License-Identifier: MIT
#pragma once

// The definitions of load_and_write.hpp.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/file/text_place.hpp"
#include "kvstore/detail/json/entry_line.hpp"
#include "kvstore/detail/json_file/entry_reader.hpp"
#include "kvstore/detail/json_file/entry_writer.hpp"
#include "kvstore/detail/json_file/load_and_write.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"
#include "kvstore/key_text.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE bool begins_snapshot(std::string_view start) noexcept {
  const auto fits = [&](std::string_view whole) {
    return std::equal(start.begin(), start.begin() + std::ssize(start.substr(0, whole.size())), whole.begin(),
                      [](char found, char wanted) { return found == wanted || found == '\0'; });
  };
  const bool ends = start.find_first_not_of('\0', kEmptyObject.size()) == std::string_view::npos;
  return fits(kFirstKeyStarts) || (fits(kEmptyObject) && ends);
}

KVSTORE_INLINE void check_leftover(FileSystem& files, const std::filesystem::path& path) {
  const auto name = AtomicFile::temporary_path(path);
  constexpr const char* kWhy =
      "is where a save of the store beside it is written, and holds something else; move it away";
  const auto link = uninterrupted([&] { return files.read_link(name); });
  if (link.error == std::errc::no_such_file_or_directory) return;
  if (!link.error) throw StorageError{name, {}, kWhy};
  const auto file = open_side_file(files, path, name);
  if (!file) return;
  std::array<char, 16> start{};
  const auto got = read_full(*file, 0, start);
  check_usable(name, got.error, "cannot read the leftover of a save; remove it");
  if (!begins_snapshot({start.data(), got.value})) throw StorageError{name, {}, kWhy};
}

KVSTORE_INLINE void remove_leftover(FileSystem& files, const std::filesystem::path& path) {
  const auto name = AtomicFile::temporary_path(path);
  check_leftover(files, path);
  const auto error = uninterrupted([&] { return files.remove(name); });
  if (!error || error == std::errc::no_such_file_or_directory) return;
  throw StorageError{path, error, "cannot remove the leftover " + path_text(name)};
}

KVSTORE_INLINE void load_json_snapshot(File& file, const std::filesystem::path& path, std::size_t threads,
                                       LoadSink& sink, std::size_t block_bytes) {
  const auto status = uninterrupted([&] { return file.status(); });
  if (status.error) throw StorageError{path, status.error, "cannot read its size"};
  sink.expect(status.value.size);
  try {
    read_json_entries(file, path, threads, sink, status.value.size, block_bytes);
    sink.finish();
  } catch (const DuplicateEntryError& error) {
    const std::uint64_t offset = find_second(file, path, error.key(), block_bytes);
    throw_placed(file, {path,
                        offset,
                        "expected each key once, found a " + std::string{error.what()},
                        {0, 0, KeyText<std::string>::for_message(error.key())}});
  } catch (const CorruptionError& error) { throw_placed(file, error); }
}

KVSTORE_INLINE std::uint32_t write_json_snapshot(AtomicFile& file, ChangeSource& source) {
  struct Output {
    AtomicFile& file;
    std::uint32_t crc = 0;
    void append(std::string_view text) {
      crc = crc32c(text, crc);
      file.append(text);
    }
  } output{file};
  write_json_entries(output, source);
  return output.crc;
}

}}}  // namespace kvstore::v1::detail
