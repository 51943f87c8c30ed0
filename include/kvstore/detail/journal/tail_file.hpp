// SPDX-License-Identifier: MIT
#pragma once

// The file `<journal>.tail`: where operations store their lines, through a mapping, before they get into the
// journal, so that a killed process loses none of them. It is written round and round: the line at offset X
// of the journal stands at X modulo the round's length. Its lines are never synced. A journal's own pages
// would be new to the file system all the time, which costs several times what storing a line does.
//
// Its head tells whose lines it has. The head is on disk before the first line of that journal stands in the
// tail, and the journal's header before that. So a tail without its journal, or of another length, was left
// alone, mixed up or cut by somebody, and is refused rather than removed.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/function_ref.hpp"
#include "kvstore/detail/contract/line_mask.hpp"
#include "kvstore/detail/file/file_system.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// What a tail begins with; then come the journal's id and the length of the round, which follows at
/// `kTailHead`.
inline constexpr std::string_view kTailMark =
    "kvstore: the newest lines of the journal beside this file.     \n";
inline constexpr std::size_t kTailHead = 128;
/// A larger file is no tail.
inline constexpr std::size_t kMaxTail = std::size_t{16} << 20;

/// Lines that stand in a journal's tail, and belong to the journal at an offset.
struct StagedLines {
  std::uint64_t from = 0;
  std::string text{};
  std::uint64_t synced = 0;  ///< the most bytes that a stray one of them records as synced
};

/// Whether the id of a journal is a number, as those are that may have a tail.
[[nodiscard]] bool is_tail_id(std::string_view id) noexcept;
[[nodiscard]] std::uint64_t number_of_id(std::string_view id) noexcept;

/// Adds masked lines to `memory`, whose round `mask` is for, or takes them out of it, at `position`.
void copy_masked(std::string_view lines, char* memory, const LineMask& mask, std::uint64_t position) noexcept;
void copy_unmasked(std::string_view masked, char* lines, const LineMask& mask,
                   std::uint64_t position) noexcept;

/// The tail that a store writes. *Thread safety*: that of adding lines to the `JournalFile` that has it.
/// Another thread may drop it, while it holds it, as long as it is not labelled for that journal.
class TailFile {
 public:
  /// Nothing is made before `map`. `store` is the base file's path, and `bytes` the length of the tail's
  /// file.
  TailFile(FileSystem& files, std::filesystem::path store, std::size_t bytes)
      : files_{files}, store_{std::move(store)}, name_{path_for(store_)}, bytes_{bytes} {}

  [[nodiscard]] static std::filesystem::path path_for(std::filesystem::path store) {
    return store += ".journal.tail";
  }
  /// The tail of the journal with this name, which may be one of a compaction.
  [[nodiscard]] static std::filesystem::path path_beside(std::filesystem::path journal) {
    const auto last = journal.extension();
    if (last == ".next" || last == ".new") journal.replace_extension();
    return journal += ".tail";
  }

  /// Makes and maps the file, and labels it as that of journal `id`, durably, unless that was done. False if
  /// that is not possible; then it is tried again only after many more calls. `may_make` is asked first
  /// whether the folder is still that of the journal.
  [[nodiscard]] bool map(std::string_view id, FunctionRef<bool()> may_make) noexcept;

  /// Where the round begins, once the file is mapped, and its length.
  [[nodiscard]] char* memory() const noexcept { return mapping_->bytes().data() + kTailHead; }
  [[nodiscard]] std::size_t round() const noexcept { return bytes_ - kTailHead; }

  /// Until the lock is released, `map` fails.
  [[nodiscard]] std::unique_lock<std::mutex> hold() { return std::unique_lock{held_}; }

  // While it is held:

  /// Whether `map` may have made the file, even if it has failed.
  [[nodiscard]] bool may_exist() const noexcept { return may_exist_; }
  /// The number of the journal that it was mapped for; none if it is not, or may have any.
  [[nodiscard]] std::optional<std::uint64_t> label() const noexcept { return label_; }
  /// Whether it is mapped for this journal. Otherwise no window is open on it but one of a journal that ends.
  [[nodiscard]] bool is_for(std::string_view id) const noexcept { return label_ == number_of_id(id); }
  /// Lets go of the file.
  void unmap() noexcept;
  /// Call when the file is gone.
  void forget() noexcept { may_exist_ = false; }

  /// Whether the name still belongs to the file that is mapped; true if none is. Any thread. @throws
  /// StorageError
  [[nodiscard]] bool has_name() const;
  /// Gives the file the rights that a new one would get now, as far as that is allowed. Any thread.
  void renew_rights() const;

 private:
  void make();
  [[nodiscard]] std::error_code write_label(std::string_view id);
  [[nodiscard]] std::shared_ptr<File> file() const;

  FileSystem& files_;
  std::filesystem::path store_;
  std::filesystem::path name_;
  std::size_t bytes_;
  std::mutex held_;  // guards all but the names and `file_`
  bool may_exist_ = false;
  mutable std::mutex exchanging_;  // guards file_
  std::shared_ptr<File> file_;     // that is mapped
  std::unique_ptr<Mapping> mapping_;
  std::optional<std::uint64_t> label_;  // of the mapped file: the journal's id; none if it may be any
  unsigned calls_until_next_ = 0;       // that fail at once
};

/// The lines of the journal `id` that wait in its tail, from offset `from` of the journal on, as they belong
/// there. Empty if there are none. `path` is for messages. @throws StorageError
[[nodiscard]] std::string read_tail(File& tail, const std::filesystem::path& path, std::string_view id,
                                    std::uint64_t from);

/// What a tail has of the journal `id` behind a place, `from`, where no line of it begins: the text from
/// there up to the end of the last good line; empty if there is none. @throws StorageError
[[nodiscard]] StagedLines stray_lines(File& tail, const std::filesystem::path& path, std::string_view id,
                                      std::uint64_t from);

inline constexpr const char* kNotOurs =
    "is where the store beside it keeps its changes, and holds something else; move it away";

/// The tail of the store; null if there is none. @throws StorageError if the name belongs to no file
[[nodiscard]] std::unique_ptr<File> open_tail(FileSystem& files, const std::filesystem::path& store);

/// What the head of a tail says.
struct TailHead {
  enum class Kind : std::uint8_t {
    blank,     ///< not written yet, or not wholly: it has no lines
    labelled,  ///< the tail of journal `id`
    other,     ///< of another program
  };
  Kind kind = Kind::blank;
  std::string id{};
  bool is_whole = true;    ///< the file's length is the one that the head names
  std::uint64_t size = 0;  ///< of the file
};

/// @throws StorageError
[[nodiscard]] TailHead read_tail_head(File& file, const std::filesystem::path& path);
[[nodiscard]] std::string tail_head(std::string_view id, std::uint64_t round);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/tail_file.ipp"
#endif
