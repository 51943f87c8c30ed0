// SPDX-License-Identifier: MIT

// Any bytes as a snapshot and its journals. The input is the files one after another, with a line "%%"
// between: data.json, .journal, .journal.next, .journal.new, and the lines of .journal.tail; a file that is
// empty does not exist. A fuzzer does not find checksums, so they are filled in: "~" at the start of a line
// becomes the line's checksum, and "$" in such a line becomes the snapshot's identity.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/reader.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/error.hpp"
#include "kvstore/storage/json_file.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/fuzz.hpp"
#include "support/simulated_disk.hpp"
#include "support/text_entries.hpp"

namespace {

using support::JsonContents;
using support::require;
using support::SimulatedDisk;

constexpr const char* kPath = "/sim/data.json";
constexpr std::size_t kBlockBytes = 4096;

std::string identity_of(std::string_view snapshot) {
  kvstore::JsonWriter out;
  kvstore::detail::write_base_id(
      out, {.exists = !snapshot.empty(), .size = snapshot.size(), .crc = kvstore::detail::crc32c(snapshot)});
  return std::string{out.text()};
}

std::string framed(std::string_view line, const std::string& identity) {
  if (!line.starts_with('~')) return std::string{line};
  std::string rest{line.substr(1)};
  if (const auto dollar = rest.find('$'); dollar != std::string::npos) rest.replace(dollar, 1, identity);
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()} + rest;
}

/// A tail with these lines, behind those of the journal in `image`, if they fit.
std::string tail_of(std::string_view lines, const support::DiskImage& image) {
  constexpr std::size_t kRound = 4096;
  const auto journal = image.find(std::string{kPath} + ".journal");
  const std::uint64_t from = journal == image.end() ? 0 : journal->second.bytes.size();
  const std::size_t begin = from % kRound;
  std::string tail = kvstore::detail::tail_head("00000000000000aa", kRound);
  tail.resize(kvstore::detail::kTailHead + kRound);
  const kvstore::detail::LineMask mask{0xAA, from - begin};
  if (lines.size() <= kRound - begin)
    kvstore::detail::copy_masked(lines, tail.data() + kvstore::detail::kTailHead, mask, begin);
  return tail;
}

/// The files that an input stands for.
support::DiskImage image_of(std::string_view text) {
  constexpr std::array kSuffixes{"", ".journal", ".journal.next", ".journal.new", ".journal.tail"};
  constexpr std::string_view kBetween = "%%\n";
  support::DiskImage image;
  std::string identity = identity_of({});
  for (const char* suffix : kSuffixes) {
    const std::size_t end = std::min(text.find(kBetween), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + kBetween.size()));
    std::string file;
    while (!part.empty()) {
      const std::size_t line = std::min(part.find('\n'), part.size() - 1) + 1;
      file += framed(part.substr(0, line - (part[line - 1] == '\n' ? 1 : 0)), identity);
      if (part[line - 1] == '\n') file += '\n';
      part.remove_prefix(line);
    }
    if (file.empty()) continue;
    if (*suffix == '\0') identity = identity_of(file);
    if (suffix == kSuffixes.back()) file = tail_of(file, image);
    image[std::string{kPath} + suffix] = support::SparseText{file};
  }
  return image;
}

support::DiskImage normalised(support::DiskImage image) {
  for (auto& [path, text] : image) text.normalise();
  return image;
}

/// What there is to say about the lines of a journal.
std::string lines_of(SimulatedDisk& disk, const std::string& path, std::size_t block_bytes) {
  const auto file = kvstore::detail::open_if_exists(disk, path);
  std::string words;
  kvstore::detail::JournalReader reader{*file, path, 0, kvstore::detail::JournalEnd::judged, block_bytes};
  try {
    for (std::string_view body; reader.next(body);) {
      words.append(std::to_string(reader.body_offset())).append(body).append("\n");
    }
    return words + std::to_string(reader.end()) + (reader.torn_bytes() != 0 ? " torn" : "");
  } catch (const kvstore::CorruptionError& error) { return words + error.what(); }
}

/// Compacts everything into one JSON file, as a store's `compact` does.
void compact(kvstore::JsonJournal& storage, const JsonContents& contents) {
  do {
    support::ListSource everything{support::text_entries(contents)};
    storage.save(everything);
  } while (
      storage.wants_compaction());  // the first may only have ended a compaction that a crash had interrupted
}

/// Opens what was opened before, goes on with it, and ends with the JSON file alone.
void go_on(SimulatedDisk& disk, JsonContents contents) {
  {
    kvstore::JsonJournal storage{kPath, disk};
    require(support::load_json(storage) == contents, "what was opened is opened again");
    const kvstore::Change change{"added", "1"};
    require(storage.append({&change, 1}), "a short change is journaled");
    storage.flush();
  }
  contents["added"] = 1;
  {
    kvstore::JsonJournal storage{kPath, disk};
    require(support::load_json(storage) == contents, "what is added is found");
    compact(storage, contents);
  }
  support::DiskImage left = disk.visible();
  left.erase(std::string{kPath} + ".journal.torn");  // stays until a person removes it
  require(left.size() == 1, "compacted, there is the JSON file alone");
  kvstore::JsonFile storage{kPath, disk, kBlockBytes};
  require(support::load_json(storage) == contents, "which holds everything");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const support::DiskImage image = image_of(support::text_of(data, size));
  SimulatedDisk disk{image, {.can_allocate = false}};
  for (const auto& [path, text] : image) {
    require(lines_of(disk, path, 1) == lines_of(disk, path, kBlockBytes), "blocks do not matter to lines");
  }
  JsonContents contents;
  try {
    kvstore::JsonJournal storage{kPath, disk};
    contents = support::load_json(storage);
  } catch (const kvstore::CorruptionError&) {
    require(disk.visible() == normalised(image), "a damaged file is left as it was");
    return 0;
  } catch (const kvstore::StorageError&) {
    require(disk.visible() == normalised(image), "a journal of another version is left as it was");
    return 0;
  }
  go_on(disk, std::move(contents));
  return 0;
}
