// SPDX-License-Identifier: MIT
#pragma once

// Keeps the bytes that opening drops from a journal as torn. After a crash, nothing in a torn end had been
// promised. But damage to the lines synced last looks the same, so the bytes are kept for a person to
// inspect, until that person removes the file.
//
// For each stretch, `<file>.journal.torn` grows by a line for a person, the bytes, and a line feed:
//
//   # 212 bytes from byte 812 of data.json.journal on, which were dropped as torn

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Bytes of a file from `begin` up to, but without, `end`.
struct FileStretch {
  std::uint64_t begin;
  std::uint64_t end;
};

/// *Thread safety*: none.
class TornKeeper {
 public:
  /// `files` outlives this object. `snapshot` is the path of the store's JSON file.
  TornKeeper(FileSystem& files, const std::filesystem::path& snapshot)
      : files_{files}, folder_{snapshot.parent_path()}, path_{path_for(snapshot)} {}

  [[nodiscard]] static std::filesystem::path path_for(std::filesystem::path snapshot) {
    return snapshot += ".journal.torn";
  }

  /// Adds the bytes of a journal from `from` on, except for blocks of zeros, unless they were added before.
  /// They are durable when this returns. @returns whether all of them are kept: a full file takes nothing
  /// more @throws StorageError: the journal is unchanged
  [[nodiscard]] bool keep(File& journal, const std::filesystem::path& name, std::uint64_t from) {
    const auto stretches = find_stretches(journal, from);
    if (stretches.empty()) return true;
    open(journal);
    bool all = true;
    for (const FileStretch& stretch : stretches) {
      const std::string title = title_of(stretch, name);
      if (has(title, journal, stretch)) continue;
      if (end_ < kFull)
        add(title, journal, stretch);
      else
        all = false;
    }
    check(uninterrupted([&] { return file_->sync(); }), "sync");
    check(uninterrupted([&] { return files_.sync_folder(folder_); }), "sync the folder of");
    return all;
  }

 private:
  /// From this size on nothing is added: repeated crashes must not fill a disk. The oldest bytes are kept,
  /// since nobody has inspected them yet.
  static constexpr std::uint64_t kFull = std::uint64_t{16} << 20;
  static constexpr std::size_t kPage = 4096;  // zeros of that length are not worth keeping

  [[nodiscard]] std::vector<FileStretch> find_stretches(File& journal, std::uint64_t from) const {
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

  static void note_page(std::vector<FileStretch>& found, std::uint64_t at, std::string_view page) {
    const std::size_t first = page.find_first_not_of('\0');
    if (first == std::string_view::npos) return;
    const std::uint64_t end = at + page.find_last_not_of('\0') + 1;
    if (!found.empty() && at - found.back().end < kPage)
      found.back().end = end;
    else
      found.push_back({at + first, end});
  }

  [[nodiscard]] static std::string title_of(const FileStretch& stretch, const std::filesystem::path& name) {
    return "# " + std::to_string(stretch.end - stretch.begin) + " bytes from byte " +
           std::to_string(stretch.begin) + " of " + path_text(name.filename()) +
           " on, which were dropped as torn\n";
  }

  /// Gives a new file the permissions of the journal; until then only its owner may read it.
  void open(File& journal) {
    if (file_) return;
    auto opened = open_file(files_, path_, OpenMode::update, 0600);
    check(opened.error, "open");
    file_ = std::move(opened.value);
    end_ = status_of(*file_).size;
    if (end_ != 0) return;
    const FileStatus mine = status_of(*file_);
    const FileStatus its = status_of(journal);
    const bool same_owner = mine.owner == its.owner && mine.group == its.group;
    if (!same_owner && uninterrupted([&] { return file_->set_owner(its.owner, its.group); })) return;
    check(uninterrupted([&] { return file_->set_mode(its.mode & 0666U); }), "set the permissions of");
  }

  /// Whether the file has that title followed by the stretch.
  [[nodiscard]] bool has(std::string_view title, File& journal, const FileStretch& stretch) const {
    std::vector<char> block(kBlockBytes);
    for (std::uint64_t at = 0;;) {
      const std::string_view text = read(*file_, at, block);
      for (std::size_t hit = text.find(title); hit != std::string_view::npos;
           hit = text.find(title, hit + 1)) {
        if (is_copied(journal, stretch, at + hit + title.size())) return true;
      }
      if (text.size() < block.size()) return false;
      at += text.size() - title.size();  // a title may span two blocks
    }
  }

  [[nodiscard]] bool is_copied(File& journal, const FileStretch& stretch, std::uint64_t to) const {
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

  void add(std::string_view title, File& journal, const FileStretch& stretch) {
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

  void append(std::string_view text) {
    check(write_all(*file_, end_, text), "write");
    end_ += text.size();
  }

  // At most `most` bytes, a number that may exceed the address space of a 32-bit processor.
  [[nodiscard]] std::string_view read(File& file, std::uint64_t at, std::vector<char>& block,
                                      std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) const {
    const auto got = read_full(file, at, block);
    check(got.error, "read what belongs into");
    return {block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(got.value, most))};
  }

  [[nodiscard]] FileStatus status_of(File& file) const {
    const auto status = uninterrupted([&] { return file.status(); });
    check(status.error, "look at");
    return status.value;
  }

  void check(std::error_code error, std::string_view call) const {
    if (!error) return;
    throw StorageError{
        path_, error,
        "the torn end of a journal is kept there before it is dropped, and the journal was not "
        "changed; see to the reason, or move the journal away: cannot " +
            std::string{call} + " that file"};
  }

  FileSystem& files_;
  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::unique_ptr<File> file_;
  std::uint64_t end_ = 0;  // of the file
};

}}}  // namespace kvstore::v1::detail
