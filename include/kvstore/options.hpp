// SPDX-License-Identifier: MIT
#pragma once

// How a persistent store saves, and how it reports.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string_view>

#include "kvstore/log.hpp"
#include "kvstore/schema_upgrade.hpp"

namespace kvstore { inline namespace v1 {

/// Whether operations wait for the save that a full batch triggers.
enum class BatchSave {
  wait,        ///< the operation that fills the batch waits: when it returns, fewer than `batch_size` are
               ///< unsaved
  background,  ///< none waits: the auto-saver's thread saves, and operations go on meanwhile without that
               ///< bound. If a journal is broken, they wait until it takes changes again
};

/// The argument of a progress callback, which is called from the thread at work, under no lock of the data.
struct Progress {
  /// A kind of work.
  enum class Phase {
    load,
    save,
    compact,  ///< a journal is compacted into a new base file
    migrate,
  };
  Phase phase;            ///< the kind of work under way
  std::uint64_t entries;  ///< entries done so far
  std::uint64_t bytes;    ///< bytes of keys and values done so far
  double fraction;        ///< the part of the work that is done: 0 to 1, never decreasing; 1 in the last call
  bool finished;          ///< true in the last call of this piece of work
};

/// The phase as it is written in code.
[[nodiscard]] constexpr std::string_view name_of(Progress::Phase phase) noexcept {
  using Phase = Progress::Phase;
  return phase == Phase::load      ? "load"
         : phase == Phase::save    ? "save"
         : phase == Phase::compact ? "compact"
                                   : "migrate";
}

/// How a persistent store saves. Every field has a default; name only the fields that differ:
/// `{.batch_size = 3, .auto_save_interval = 10s}`.
struct Options {
  /// The number of unsaved operations that triggers a save. 1 makes each operation durable before it returns;
  /// 0 = never by count.
  std::size_t batch_size = 1000;

  /// The longest time that an operation stays unsaved while saves succeed. Zero = no saving by time; a
  /// negative interval is refused.
  std::chrono::milliseconds auto_save_interval = std::chrono::seconds{10};

  /// Whether the operation that fills a batch waits until the batch is on disk.
  BatchSave batch_save = BatchSave::wait;

  /// Segments of the map, each with a lock of its own: rounded up to a power of two, at most 65536. 0 = 256,
  /// or more if many entries are loaded.
  std::size_t segments = 0;

  /// Threads that read a large JSON file (from 4 MiB) or encode a large store, including the one that opens
  /// or saves; at most 64. 0 = two to read; two to encode if there are four processors, otherwise one, since
  /// operations go on meanwhile. If a thread cannot be started, fewer do the work.
  std::size_t threads = 0;

  /// Opens without a lock and never writes, also while another process has the store open for writing.
  /// Readers see a consistent state as of opening, or as of the last `refresh()`. Verbs that write throw
  /// `UsageError`.
  bool read_only = false;

  /// Whether a read-only store may be opened before its file exists. The store is then empty, and `refresh()`
  /// sees the file once it exists. Otherwise opening throws `StorageError` (ENOENT), so that a wrong path
  /// never looks like an empty store. A store that is opened for writing creates its file and does not need
  /// this option.
  bool allow_missing = false;

  /// The version of the form that values have in this program; stored with them. Values of a lower version go
  /// through `upgrade` while they are loaded, and are saved in the new form before the constructor returns;
  /// the old form stays in place until then. A higher version is refused. 0 = no versions.
  std::uint32_t schema_version = 0;

  /// Whether integers beyond 64 bits may be rounded to doubles when they are read into an `nlohmann::json`,
  /// which holds no larger ones: 12345678901234567890123 becomes 1.2345678901234568e+22, and is saved so.
  /// Otherwise loading throws `CorruptionError`, and the file stays as it is.
  bool round_numbers = false;

  /// Brings the JSON of a value from version `from` to `schema_version`, in place. If it throws, the
  /// constructor throws the same (for a `ParseError` or `DuplicateEntryError` a `CorruptionError` that says
  /// where the value is), and nothing was changed. Never called by two threads at once: such a load
  /// has one thread. A function `(std::uint32_t from, std::string_view key, nlohmann::json& value)`.
  SchemaUpgrade upgrade = {};

  /// Called with the exception of each failed save, from the thread that saved. It runs under no lock of the
  /// data, so it may use the store. Its exceptions are swallowed. It must not close the store
  /// while that is closing, nor destroy it.
  std::function<void(const std::exception&)> on_error = {};

  /// Called with the progress of a load, save or compaction every few thousand entries, always by the thread
  /// that opens or saves. It may read the store, and must not throw. It must not call a function that saves,
  /// which would wait for ever for the work in progress: `save`, `compact`, `checkpoint`, `load_from`,
  /// `close`, or an operation that fills a batch.
  std::function<void(const Progress&)> on_progress = {};

  /// Called with each event of the store, from the thread that caused it, under no lock of the data;
  /// `LogEvent` lists the events. It may be called from several threads at once, and it may use the store but
  /// not close it. Its exceptions are swallowed.
  std::function<void(const LogEvent&)> logger = {};

  /// The lowest level of events that `logger` receives. `LogLevel::debug` adds one for each change, with its
  /// key.
  LogLevel log_level = LogLevel::info;

  /// Whether a store prints one line on standard error if operations are lost without any other report: if
  /// the program ends without closing the store (`std::exit`, a store that was never destroyed), or if the
  /// destructor's save fails and neither `on_error` nor `logger` is set.
  bool complain = true;

  /// Whether `metrics()` counts operations by verb and outcome.
  bool count_operations = true;
};

}}  // namespace kvstore::v1
