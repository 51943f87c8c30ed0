// SPDX-License-Identifier: MIT
#pragma once

// The definitions of torn_keeper.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/detail/journal/torn_keeper.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE std::filesystem::path TornKeeper::path_for(std::filesystem::path snapshot) {
  return snapshot += ".journal.torn";
}

KVSTORE_INLINE bool TornKeeper::keep(File& journal, const std::filesystem::path& name, std::uint64_t from) {
  const auto stretches = find_stretches(journal, from);
  if (stretches.empty()) return true;
  open(journal);
  bool all = true;
  for (const FileStretch& stretch : stretches) {
    const std::string title = title_of(stretch, name);
    if (has(title, [&](std::uint64_t to) { return is_copied(journal, stretch, to); })) continue;
    if (end_ < kFull)
      add(title, journal, stretch);
    else
      all = false;
  }
  sync();
  return all;
}

KVSTORE_INLINE bool TornKeeper::keep(std::string_view text, File& tail, const std::filesystem::path& name,
                                     std::uint64_t from) {
  open(tail);
  const std::string title = title_of({from, from + text.size()}, name);
  const bool had = has(title, [&](std::uint64_t to) { return is_copied(text, to); });
  const bool all = had || end_ < kFull;
  if (!had && all) {
    append(title);
    append(text);
    append("\n");
  }
  sync();
  return all;
}

KVSTORE_INLINE void TornKeeper::sync() {
  check(uninterrupted([&] { return file_->sync(); }), "sync");
  check(uninterrupted([&] { return files_.sync_folder(folder_); }), "sync the folder of");
}

KVSTORE_INLINE std::vector<FileStretch> TornKeeper::find_stretches(File& journal, std::uint64_t from) const {
  std::vector<FileStretch> found;
  std::vector<char> block(kBlockBytes);
  for (std::uint64_t at = from;;) {
    const std::string_view text = read(journal, at, block);
    if (text.empty()) return found;
    for (std::size_t page = 0; page < text.size(); page += kPage)
      note_page(found, at + page, text.substr(page, kPage));
    at += text.size();
  }
}

KVSTORE_INLINE void TornKeeper::note_page(std::vector<FileStretch>& found, std::uint64_t at,
                                          std::string_view page) {
  const std::size_t first = page.find_first_not_of('\0');
  if (first == std::string_view::npos) return;
  const std::uint64_t end = at + page.find_last_not_of('\0') + 1;
  if (!found.empty() && at - found.back().end < kPage)
    found.back().end = end;
  else
    found.push_back({at + first, end});
}

KVSTORE_INLINE std::string TornKeeper::title_of(const FileStretch& stretch,
                                                const std::filesystem::path& name) {
  return "# " + std::to_string(stretch.end - stretch.begin) + " bytes from byte " +
         std::to_string(stretch.begin) + " of " + path_text(name.filename()) +
         " on, which were dropped as torn\n";
}

KVSTORE_INLINE void TornKeeper::open(File& journal) {
  if (file_) return;
  const auto rights = rights_of(journal);
  check(rights.error, "read the permissions for");
  auto opened = make_file(files_, path_, side_rights(rights.value));
  if (opened.error == std::errc::file_exists) opened = open_file(files_, path_, OpenMode::update);
  check(opened.error, "open");
  file_ = std::move(opened.value);
  const FileStatus mine = status_of(*file_);
  check_side_owner(files_, snapshot_, path_, mine);
  check_sole_name(path_, mine);
  end_ = mine.size;
}

KVSTORE_INLINE bool TornKeeper::has(std::string_view title,
                                    FunctionRef<bool(std::uint64_t)> is_copied) const {
  std::vector<char> block(kBlockBytes);
  int left = kMostHits;
  for (std::uint64_t at = 0;;) {
    const std::string_view text = read(*file_, at, block);
    for (std::size_t hit = text.find(title); hit != std::string_view::npos; hit = text.find(title, hit + 1)) {
      if (is_copied(at + hit + title.size())) return true;
      if (--left == 0) return false;  // it is kept once more then
    }
    if (text.size() < block.size()) return false;
    at += text.size() - title.size();  // a title may span two blocks
  }
}

KVSTORE_INLINE bool TornKeeper::is_copied(File& journal, const FileStretch& stretch, std::uint64_t to) const {
  std::vector<char> wanted(kBlockBytes);
  std::vector<char> found(kBlockBytes);
  for (std::uint64_t at = stretch.begin; at < stretch.end;) {
    const std::string_view text = read(journal, at, wanted, stretch.end - at);
    if (text.empty() || read(*file_, to + (at - stretch.begin), found).substr(0, text.size()) != text)
      return false;
    at += text.size();
  }
  return true;
}

KVSTORE_INLINE bool TornKeeper::is_copied(std::string_view text, std::uint64_t to) const {
  std::string found(text.size(), '\0');
  const auto got = read_full(*file_, to, found);
  check(got.error, "read");
  return got.value == text.size() && found == text;
}

KVSTORE_INLINE void TornKeeper::add(std::string_view title, File& journal, const FileStretch& stretch) {
  append(title);
  std::vector<char> block(kBlockBytes);
  for (std::uint64_t at = stretch.begin; at < stretch.end;) {
    const std::string_view text = read(journal, at, block, stretch.end - at);
    if (text.empty()) throw StorageError{path_, {}, "the journal became shorter while it was opened"};
    append(text);
    at += text.size();
  }
  append("\n");
}

KVSTORE_INLINE void TornKeeper::append(std::string_view text) {
  check(write_all(*file_, end_, text), "write");
  end_ += text.size();
}

KVSTORE_INLINE std::string_view TornKeeper::read(File& file, std::uint64_t at, std::vector<char>& block,
                                                 std::uint64_t most) const {
  const auto got = read_full(file, at, block);
  check(got.error, "read what belongs into");
  return {block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(got.value, most))};
}

KVSTORE_INLINE FileStatus TornKeeper::status_of(File& file) const {
  const auto status = uninterrupted([&] { return file.status(); });
  check(status.error, "look at");
  return status.value;
}

KVSTORE_INLINE void TornKeeper::check(std::error_code error, std::string_view call) const {
  if (!error) return;
  throw StorageError{path_, error,
                     "the torn end of a journal is kept there before it is dropped, and the journal was not "
                     "changed; see to the reason, or move the journal away: cannot " +
                         std::string{call} + " that file"};
}

}}}  // namespace kvstore::v1::detail
