// SPDX-License-Identifier: MIT
#pragma once

// How a persistent store saves, and whom it tells.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string_view>

#include "kvstore/log.hpp"
#include "kvstore/schema_upgrade.hpp"

namespace kvstore { inline namespace v1 {

/// Who waits for the save that a full batch triggers.
enum class BatchSave {
  wait,        ///< the operation that fills the batch: when it returns, fewer than `batch_size` are unsaved
  background,  ///< nobody: the auto-saver's thread saves, and operations go on meanwhile without that bound.
               ///< Only where a journal is broken do they wait, until it takes changes again
};

/// What a progress callback is told. Called from the thread at work, under no lock of the data.
struct Progress {
  /// A kind of work.
  enum class Phase {
    load,
    save,
    compact,  ///< a journal is compacted into a new base file
    migrate,
  };
  Phase phase;            ///< what is going on
  std::uint64_t entries;  ///< entries done so far
  std::uint64_t bytes;    ///< bytes of keys and values done so far
  double fraction;        ///< of the whole work: 0 to 1, never less than before; 1 in the last call
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

/// How a persistent store saves. Every field has a default; name only what differs:
/// `{.batch_size = 3, .auto_save_interval = 10s}`.
struct Options {
  /// Unsaved operations that trigger a save. 1 makes each durable before it returns; 0 = never by count.
  std::size_t batch_size = 1000;

  /// The longest that an operation stays unsaved while saves succeed. Zero = no saving by time; negative is
  /// refused.
  std::chrono::milliseconds auto_save_interval = std::chrono::seconds{10};

  /// Whether the operation that fills a batch waits until it is on disk.
  BatchSave batch_save = BatchSave::wait;

  /// Segments of the map, each with a lock of its own: rounded up to a power of two, at most 65536. 0 = 256,
  /// or more when what is loaded is large.
  std::size_t segments = 0;

  /// Threads that read a large JSON file (from 4 MiB) or encode a large store, the one that opens or saves
  /// included; at most 64. 0 = two to read; two to encode where there are four processors, else one, since
  /// operations go on meanwhile. A thread that cannot be started is done without.
  std::size_t threads = 0;

  /// Opens without a lock and without ever writing, also while another process has the store open for
  /// writing: what is seen is a consistent state as of opening, or as of the last `refresh()`. Verbs that
  /// write throw `UsageError`.
  bool read_only = false;

  /// Whether a read-only store may be opened before there is a file. It is empty then, and `refresh()` sees
  /// the file once it is there. Otherwise opening throws `StorageError` (ENOENT), so that a slip in a path is
  /// never a store without entries. A store that is opened for writing makes its file, and needs no such
  /// leave.
  bool allow_missing = false;

  /// The version of the form that values have in this program; stored with them. What was stored by a program
  /// with a lower version goes through `upgrade` while it is loaded, and is saved in the new form before the
  /// store has opened; the old form stays in place until then. A higher one is refused. 0 = no versions.
  std::uint32_t schema_version = 0;

  /// Brings the JSON of a value from version `from` to `schema_version`, in place. What it throws leaves the
  /// constructor; nothing was changed then. Never called by two threads at once: such a load has one thread.
  /// A function `(std::uint32_t from, std::string_view key, nlohmann::json& value)`.
  SchemaUpgrade upgrade = {};

  /// Told of each failed save, with the exception; from the thread that saved, under no lock of the data, so
  /// it may use the store. What it throws is swallowed. It must not destroy the store.
  std::function<void(const std::exception&)> on_error = {};

  /// Told how a load, save or compaction gets on, every few thousand entries. It may read the store, and must
  /// not throw. Nor may it call what saves, which would wait for ever for the work that it is told of:
  /// `save`, `compact`, `checkpoint`, `load_from`, `close`, or an operation that fills a batch. Always called
  /// by the thread that opens or saves.
  std::function<void(const Progress&)> on_progress = {};

  /// Told what happens to the store, from the thread that did it, under no lock of the data; `LogEvent` lists
  /// the events. It may be called from several threads at once, and it may use the store but not close it.
  /// What it throws is swallowed.
  std::function<void(const LogEvent&)> logger = {};

  /// The least severe events that `logger` is told. `LogLevel::debug` adds one for each change, with its key.
  LogLevel log_level = LogLevel::info;

  /// Whether a store that loses operations and has nobody to tell says so in one line on standard error:
  /// where the program ends without closing it (`std::exit`, a store that was never destroyed), or where its
  /// destructor's save fails and neither `on_error` nor `logger` is set.
  bool complain = true;

  /// Whether `metrics()` counts operations by verb and outcome.
  bool count_operations = true;
};

}}  // namespace kvstore::v1
