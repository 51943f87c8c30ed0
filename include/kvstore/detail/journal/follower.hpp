// SPDX-License-Identifier: MIT
#pragma once

// Reads a base file and its journals while another process may be writing them: without a lock or a change,
// and yet with the state as of one moment.
//
// Files are replaced by renaming, and journals only grow, so an open file keeps its contents. The task is to
// catch a moment at which the names belong together: all files are opened, and if afterwards each name still
// refers to the file that was opened, there was such a moment.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/followed_path.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/error.hpp"
#include "kvstore/journal_format.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class JournalFollower {
 public:
  /// `files` outlives this object. @throws StorageError, as `usable_path`
  JournalFollower(FileSystem& files, const std::filesystem::path& path) : files_{files}, path_{files, path} {}

  /// Refuses a link that leads neither to a file nor to the journal of one. @throws StorageError
  void check_not_dangling() const;

  /// Follows links again. @returns whether they now lead to another store
  bool follow_links();

  /// Passes on the state as of some moment during the call. @throws CorruptionError, StorageError
  void load(const LoadRequest& request, LoadSink& sink);

  /// Passes on the changes since then; false if they cannot be determined. @throws CorruptionError,
  /// StorageError
  bool load_changes(LoadSink& sink);

 private:
  static constexpr std::uint64_t kAttempts = 100;
  static constexpr std::chrono::milliseconds kPause{2};
  static constexpr std::size_t kFirstBlock = 4096;  // small, so that finding nothing new costs little

  /// The files as of one moment.
  struct View {
    std::shared_ptr<File> snapshot;
    FileStatus status;  // of the snapshot
    JournalSet journals;
    BaseId id;

    [[nodiscard]] bool is_missing() const noexcept;
  };

  /// The journal that was read up to `end`.
  struct Following {
    std::shared_ptr<File> file;
    std::filesystem::path path;
    std::string id;
    bool may_have_tail = false;
    std::uint64_t end = 0;
  };

  enum class Successor {
    followed,   ///< now reading the successor
    unwritten,  ///< a compaction has begun, but nothing was written since
    unknown,    ///< the successor of the journal that was read cannot be determined
  };

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_.target(); }

  /// Repeats a read of so many bytes that a writer may have disturbed: a half-written line looks like damage
  /// for a moment. A long read gives it that moment in a few attempts, and would take minutes in many.
  template <class Do>
  static std::invoke_result_t<const Do&> retrying(std::uint64_t bytes, const Do& action) {
    constexpr std::uint64_t kFew = 3;
    constexpr std::uint64_t kLong = std::uint64_t{16} << 20;
    const std::uint64_t attempts = std::clamp(kLong / std::max<std::uint64_t>(bytes, 1), kFew, kAttempts);
    for (std::uint64_t attempt = 1;; ++attempt) {
      try {
        return action();
      } catch (const CorruptionError&) {
        if (attempt == attempts) throw;
      }
      std::this_thread::sleep_for(kPause);
    }
  }

  [[nodiscard]] View open(const JournalThreads& threads);

  [[nodiscard]] View open_together();

  /// The size of all files together, or of one from an offset on. What cannot be seen counts nothing.
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] static std::uint64_t bytes_from(File& file, std::uint64_t offset);

  [[nodiscard]] bool has_names(const View& view);

  /// Whether the name refers to `file`, or to nothing if `file` is null.
  [[nodiscard]] bool is_at(File* file, const std::filesystem::path& name);

  [[nodiscard]] FileStatus status_of(File& file) const;

  /// Reads the base file once to compute its identity.
  static void identify(View& view);

  void load_snapshot(View& view, std::size_t threads, LoadSink& sink);

  void copy(View& view, const std::vector<const FoundJournal*>& chain, LoadSink& sink);

  void read_on(LoadSink& sink);

  /// Whether no other journal has followed this one.
  [[nodiscard]] bool is_last(const Following& following);

  /// Whether there is still no journal, and still the base file that was loaded.
  [[nodiscard]] bool is_unchanged();

  /// Continues with the successor of the journal that was read to its end, if there is one.
  Successor go_to_successor();

  /// Whether the current base file has values of the same schema version.
  [[nodiscard]] bool same_version();
  /// Whether there is a journal that follows none. It counts, and not the one that is followed, once its base
  /// file has its name, and its writer may have ended in between.
  [[nodiscard]] bool has_rival();

  [[nodiscard]] std::uint32_t version_of(File& file) const;

  FileSystem& files_;
  FollowedPath path_;
  SeenFile seen_;              // the base file that `version_` was read from
  std::uint32_t version_ = 0;  // of the values that were passed on
  std::optional<Following> following_;
};

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/journal/follower.ipp"
#endif
