// SPDX-License-Identifier: MIT
#pragma once

// One file of a simulated disk: the contents that programs see, the contents that are certain on the platter,
// and every change in between, which power loss may keep or lose.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/simulated_mapping.hpp"

namespace support {

/// The contents of a file: `bytes`, and zeros from there to `size`. So a preallocated file costs nothing.
struct SparseText {
  std::string bytes;
  std::uint64_t size = 0;

  SparseText() = default;
  explicit SparseText(std::string text) : bytes{std::move(text)}, size{bytes.size()} {}

  friend bool operator==(const SparseText&, const SparseText&) = default;

  /// Keeps `size`: bytes behind it show only once the file grows.
  void put(std::uint64_t offset, std::string_view text) {
    const auto end = static_cast<std::size_t>(offset) + text.size();
    if (bytes.size() < end) bytes.resize(end, '\0');
    std::copy(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void grow(std::uint64_t to) { size = std::max(size, to); }
  void cut(std::uint64_t to) {
    size = to;
    if (bytes.size() > to) bytes.resize(static_cast<std::size_t>(to));
  }
  std::size_t read(std::uint64_t offset, std::span<char> out) const {
    if (offset >= size) return 0;
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(size - offset, out.size()));
    const auto from = static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes.size()));
    const std::size_t stored = std::min(count, bytes.size() - from);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), stored, out.begin());
    std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(stored), count - stored, '\0');
    return count;
  }
  /// Brings equal contents into one form, so that they compare equal.
  void normalise() {
    if (bytes.size() > size) bytes.resize(static_cast<std::size_t>(size));
    bytes.resize(bytes.find_last_not_of('\0') + 1);
  }
  [[nodiscard]] std::string text() const {
    std::string all = bytes;
    all.resize(static_cast<std::size_t>(size), '\0');
    return all;
  }
};

/// The fate of a change at power loss.
enum class Fate {
  open,     ///< perhaps kept; the next sync decides
  dropped,  ///< perhaps kept; a sync failed on it, so no later sync writes it
  kept,     ///< certainly kept
};

/// Ends a sync of the first `covered` changes. @returns true if every change is certain now
template <class Changes>
bool settle(Changes& changes, bool success, std::size_t covered) {
  bool certain = true;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Fate& fate = changes[i].fate;
    if (fate == Fate::open && i < covered) fate = success ? Fate::kept : Fate::dropped;
    certain = certain && fate == Fate::kept;
  }
  return certain;
}

/// A part of the changes of a file that survives power loss whole or not at all.
struct FileChange {
  enum class Kind { put, grow, cut };
  Kind kind;
  std::uint64_t at;  ///< offset, or the new size
  std::string bytes;
  Fate fate = Fate::open;

  void apply(SparseText& text) const {
    if (kind == Kind::put) text.put(at, bytes);
    if (kind == Kind::grow) text.grow(at);
    if (kind == Kind::cut) text.cut(at);
  }
};

/// A file without a name. Every write is cut at sectors. Power loss keeps any set of the pieces written since
/// the last sync, in whatever order they were written. It keeps new sizes independently of the pieces: a size
/// without its bytes shows zeros, and bytes without their size do not show. Permissions always survive power
/// loss. Stores into mapped pages count as written, sector by sector, when `take_over_stores` is called.
struct Inode {
  std::uint64_t id = 0;
  std::uint32_t mode = 0;
  std::uint32_t owner = 0;
  std::uint32_t group = 0;
  SparseText live;    ///< the contents that programs see
  SparseText synced;  ///< the certain contents
  std::vector<FileChange> changes{};
  const void* lock_holder = nullptr;
  std::uint64_t settled = 0;         ///< the number of changes that have become certain and left the list
  std::uint64_t write_errors = 0;    ///< the number of failed syncs
  bool write_error_is_told = false;  ///< some open file has reported the last of these
  std::vector<MappedPages*> mapped{};

  void take_over_stores(std::size_t sector) {
    for (MappedPages* pages : mapped) {
      pages->take_over(live.size, sector,
                       [&](std::uint64_t offset, std::string_view text) { write(offset, text, sector); });
    }
  }

  void write(std::uint64_t offset, std::string_view text, std::size_t sector) {
    const std::uint64_t end = offset + text.size();
    if (end > live.size) resize(end);
    while (!text.empty()) {
      const std::size_t room = sector - static_cast<std::size_t>(offset % sector);
      const std::string_view piece = text.substr(0, room);
      change({FileChange::Kind::put, offset, std::string{piece}});
      offset += piece.size();
      text.remove_prefix(piece.size());
    }
  }
  void resize(std::uint64_t size) {
    if (size > live.size) change({FileChange::Kind::grow, size, {}});
    if (size < live.size) change({FileChange::Kind::cut, size, {}});
  }
  /// The number of changes so far. A sync that begins now covers these.
  [[nodiscard]] std::uint64_t position() const noexcept { return settled + changes.size(); }
  /// Makes the first `covered` changes certain, except those that a failed sync has dropped.
  void sync(std::uint64_t covered) {
    if (!settle(changes, true, static_cast<std::size_t>(std::max(covered, settled) - settled))) return;
    synced = live;
    settled += changes.size();
    changes.clear();
  }
  void fail_sync() {
    settle(changes, false, changes.size());
    ++write_errors;
    write_error_is_told = false;
  }
  /// The contents after power loss. Asks `survives()` about each change that is not certain.
  template <class Survives>
  [[nodiscard]] SparseText after_loss(Survives& survives) const {
    SparseText text = synced;
    for (const FileChange& change : changes) {
      if (change.fate == Fate::kept || survives()) change.apply(text);
    }
    text.normalise();
    return text;
  }

 private:
  void change(FileChange change) {
    const std::uint64_t size = live.size;
    change.apply(live);
    const bool puts = change.kind == FileChange::Kind::put;
    const std::uint64_t from = puts ? change.at : std::min(size, live.size);
    const std::uint64_t to = puts ? change.at + change.bytes.size() : std::max(size, live.size);
    for (MappedPages* pages : mapped) pages->show(live, from, to);
    changes.push_back(std::move(change));
  }
};

}  // namespace support
