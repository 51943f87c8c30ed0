// SPDX-License-Identifier: MIT
#pragma once

// A JSON file as the storages use it: checking its path, loading it, writing it.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Whether a file that begins with `start` (its first bytes, or all) may be the remains of a save that
/// crashed: it begins as `write_json_entries` does, except for zeros where power was lost before the data
/// were on disk.
[[nodiscard]] bool begins_snapshot(std::string_view start) noexcept;

/// Throws if the file at the temporary name of `path` cannot be the remains of a crashed save.
void check_leftover(FileSystem& files, const std::filesystem::path& path);

/// Removes the remains of a crashed save, and no other file. @throws StorageError
void remove_leftover(FileSystem& files, const std::filesystem::path& path);

/// Passes every entry of `file` to `sink` and finishes `sink`. `threads`: see `LoadRequest`. @throws
/// CorruptionError with the offset at which the file stops making sense; StorageError
void load_json_snapshot(File& file, const std::filesystem::path& path, std::size_t threads, LoadSink& sink,
                        std::size_t block_bytes = kBlockBytes);

/// Writes every entry of `source` to `file`, without committing it. Extra memory: one block, whatever the
/// number of entries. @returns the CRC-32C of the written text
std::uint32_t write_json_snapshot(AtomicFile& file, ChangeSource& source);

}}}  // namespace kvstore::v1::detail

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/json_file/load_and_write.ipp"
#endif
