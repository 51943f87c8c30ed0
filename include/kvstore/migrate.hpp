// SPDX-License-Identifier: MIT
#pragma once

// Copies the entries of a store from one storage to another, and to stores on servers and back.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>

#include "kvstore/detail/base/helper_threads.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/change/entry_pipe.hpp"
#include "kvstore/detail/file/data_path.hpp"
#include "kvstore/detail/remote/as_storage.hpp"
#include "kvstore/detail/saving/progress_source.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 {

/// How `migrate` copies.
struct MigrateOptions {
  /// Replace the entries of the target. Otherwise a target that is not empty is refused.
  bool replace = false;

  /// Called with the progress every few thousand entries. It must not throw.
  std::function<void(const Progress&)> on_progress = {};
};

namespace detail {

/// Counts the entries of a storage.
class CountingSink final : public LoadSink {
 public:
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t) override {}
  void put(std::string_view, std::string_view) override { ++entries_; }
  void finish() override {}
  void change(const Change&) override { ++entries_; }
  void clear() override { entries_ = 0; }

  [[nodiscard]] std::uint64_t entries() const noexcept { return entries_; }

 private:
  std::uint64_t entries_ = 0;
};

[[noreturn]] inline void throw_not_empty(const std::string& name, std::uint64_t entries) {
  throw UsageError{name + ": holds " + std::to_string(entries) +
                   " entries already; name an empty target, or set MigrateOptions::replace"};
}

/// Whether a store of the file `owner` may write to `name`, or remove it.
inline bool is_side_name(std::string_view name, std::string_view owner) {
  if (owner.empty() || !name.starts_with(owner)) return false;
  name.remove_prefix(owner.size());
  return std::find(std::begin(kSideSuffixes), std::end(kSideSuffixes), name) != std::end(kSideSuffixes);
}

inline void check_distinct(Storage& from, Storage& to) {
  const std::string name = detail::path_text(to.path());
  if (!name.empty() && from.path() == to.path())
    throw UsageError{name + ": source and target of migrate() are one"};
  const std::string source = detail::path_text(from.path());
  if (is_side_name(source, name) || is_side_name(name, source))
    throw UsageError{source + " and " + name +
                     ": one of them has a name that the other keeps for its own files; rename it first"};
}

/// Calls `check_target()` once the source is known to exist, and before the target is written: a source that
/// is missing or damaged from the start leaves not even an empty target behind.
template <class CheckTarget>
std::uint64_t copy_entries(Storage& from, Storage& to, const MigrateOptions& options,
                           const CheckTarget& check_target, bool to_file = true) {
  EntryPipe pipe{to_file};
  const std::jthread reader =
      start_needed(from.path(), [&] { return std::jthread{[&] { pipe.fill_from(from); }}; });
  std::uint64_t count = 0;
  {
    PipeSource entries{pipe};  // destroyed before the reader is waited for
    check_target();
    if (entries.schema_version() != 0 && !to.keeps_schema_version()) {
      throw UsageError{detail::path_text(to.path()) + ": keeps no schema version, and the source has one"};
    }
    ProgressSource counted{entries, options.on_progress, Progress::Phase::migrate};
    to.save(counted);
    count = counted.entries();
  }
  CountingSink stored;
  to.load({.purpose = LoadPurpose::copy}, stored);
  if (stored.entries() == count) return count;
  throw StorageError{to.path(),
                     {},
                     "holds " + std::to_string(stored.entries()) + " entries, and " + std::to_string(count) +
                         " were copied; does the source hold a key twice?"};
}

}  // namespace detail

/// Copies every entry of one storage into another, as text, in one pass. The copy is a snapshot, durable as a
/// whole or not at all, and is counted again afterwards. The source is only read, and may be open for writing
/// by a store; the target must not be open. The schema version is copied too. @returns the number of entries
///
/// @throws UsageError if the target is not empty, or keeps no schema version although the source has one;
///         LockedError, CorruptionError, StorageError, also if the source does not exist: the target is
///         unchanged, unless the error is a count that does not match, which is found after the target was
///         saved.
/// *Complexity*: O(entries) time; memory for two blocks, and for the changes in a journal since it was
/// compacted.
///
/// ```cpp
/// kvstore::JsonFile from{"data.json"};
/// kvstore::SqliteFile to{"data.db"};
/// kvstore::migrate(from, to);
/// ```
inline std::uint64_t migrate(Storage& from, Storage& to, const MigrateOptions& options = {}) {
  detail::check_distinct(from, to);
  to.make_like(from.path());
  return detail::copy_entries(from, to, options, [&] {
    detail::CountingSink present;
    to.load({.purpose = LoadPurpose::exclusive}, present);
    if (present.entries() != 0 && !options.replace) {
      detail::throw_not_empty(detail::path_text(to.path()), present.entries());
    }
  });
}

/// The same into a store on servers, such as a `RedisClusterKeyValueStore` or an `EtcdKeyValueStore`. The
/// entries go in batches: a failure on the way leaves some of them there, and other clients see a partial
/// copy meanwhile. `replace` removes what the source has not once all is copied, and remembers the keys until
/// then.
/// @throws ValueError if a key or value is not of the target's types; the errors of the target's verbs
///
/// ```cpp
/// kvstore::JsonFile from{"data.json"};
/// kvstore::RedisClusterKeyValueStore<std::string, City> to{{.seeds = {"10.0.0.1:6379"}}};
/// kvstore::migrate(from, to);
/// ```
template <detail::OnServers To>
std::uint64_t migrate(Storage& from, To& to, const MigrateOptions& options = {}) {
  detail::RemoteStorage<To> target{to, options.replace};
  detail::check_distinct(from, target);
  const auto check_target = [&] {
    if (!options.replace && !to.empty()) detail::throw_not_empty(to.name(), to.size());
  };
  return detail::copy_entries(from, target, options, check_target, false);
}

/// The same from a store on servers: the entries as its `for_each` sees them.
template <detail::OnServers From>
std::uint64_t migrate(From& from, Storage& to, const MigrateOptions& options = {}) {
  detail::RemoteStorage<From> source{from};
  return migrate(static_cast<Storage&>(source), to, options);
}

/// The same from one store on servers to another.
template <detail::OnServers From, detail::OnServers To>
std::uint64_t migrate(From& from, To& to, const MigrateOptions& options = {}) {
  detail::RemoteStorage<From> source{from};
  return migrate(source, to, options);
}

}}  // namespace kvstore::v1
