// SPDX-License-Identifier: MIT
#pragma once

// The definitions of file_lock.hpp.

#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/immortal.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/base/random_bits.hpp"
#include "kvstore/detail/file/file_lock.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/rights.hpp"
#include "kvstore/detail/file/side_file.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE const std::string& process_mark() {
  constexpr std::uint64_t kLeast = 1'000'000'000;
  static const Immortal<std::string> mark{std::to_string(kLeast + random_bits() % (9 * kLeast))};
  return *mark;
}

KVSTORE_INLINE FileLock::FileLock(FileSystem& files, std::filesystem::path file)
    : files_{files}, file_{std::move(file)}, name_{file_}, holder_{files.process_id()} {
  name_ += ".lock";
  rights_ = store_rights(files_, file_);
  try {
    while (!take()) {}
    write_holder();
  } catch (...) {
    give_up();
    throw;
  }
}

KVSTORE_INLINE FileLock::~FileLock() {
  if (files_.process_id() != holder_) return;  // a forked child: the lock is its parent's
  give_up();
}

KVSTORE_INLINE void FileLock::check_still_held() {
  const auto current = has_name();
  if (current.error) fail(current.error, "nothing more is written: cannot look at");
  if (current.value) return;
  throw StorageError{file_,
                     {},
                     "nothing more is written, because lock file " + path_text(name_) +
                         " was removed, or its folder exchanged, while the store was open; another store may "
                         "own what is there now: keep this one's entries by checkpoint() under another name, "
                         "then open the file again"};
}

KVSTORE_INLINE void FileLock::give_up() {
  if (mine_ && has_name().value) static_cast<void>(files_.remove(name_));
}

KVSTORE_INLINE bool FileLock::take() {
  const bool stale = open_lock_file();
  const auto error = uninterrupted([&] { return handle_->try_lock(); });
  if (error == std::errc::operation_would_block) {
    mine_ = false;
    throw locked();
  }
  if (error) fail(error, "cannot lock");
  check_own();
  check_contents();
  mine_ = true;
  const auto current = has_name();
  if (current.error) fail(current.error, "cannot look at");
  if (current.value && stale) remove_stale();
  return current.value && !stale;
}

KVSTORE_INLINE bool FileLock::open_lock_file() {
  auto opened = make_lock_file(files_, name_, rights_);
  mine_ = !opened.error;
  if (opened.error == std::errc::file_exists) opened = open_file(files_, name_, OpenMode::update);
  bool foreign = false;
  if (opened.error == std::errc::permission_denied) {
    auto readable = open_file(files_, name_, OpenMode::read);
    foreign = !readable.error;
    if (foreign) opened = std::move(readable);
  }
  if (opened.error) fail(opened.error, "cannot open");
  handle_ = std::move(opened.value);
  return foreign || (!mine_ && is_readable_by_others());
}

KVSTORE_INLINE bool FileLock::is_readable_by_others() {
  const auto found = rights_of(*handle_);
  const bool may_change = found.value.owner == files_.user_id() || files_.user_id() == 0;
  if (found.error || !found.value.known || !may_change) return false;
  const FileRights narrow = lock_rights(found.value);
  return (found.value.mode & 0077U & ~narrow.mode) != 0 || found.value.acl != narrow.acl;
}

KVSTORE_INLINE void FileLock::check_own() {
  const auto found = uninterrupted([&] { return handle_->status(); });
  if (found.error) fail(found.error, "cannot look at");
  check_side_owner(files_, file_, name_, found.value);
  check_sole_name(name_, found.value);
}

KVSTORE_INLINE void FileLock::check_contents() {
  using std::string_view_literals::operator""sv;
  std::array<char, 24> text{};
  const auto got = read_full(*handle_, 0, text);
  if (got.error) fail(got.error, "cannot read");
  const std::string_view found{text.data(), got.value};
  if (found.size() < text.size() && found.find_first_not_of("0123456789\n\0"sv) == std::string_view::npos)
    return;
  fail({}, "something else than the id of a process stands in what should be, move it away:");
}

KVSTORE_INLINE Result<bool> FileLock::has_name() {
  const auto mine = uninterrupted([&] { return handle_->status(); });
  if (mine.error) return {false, mine.error};
  const auto named = uninterrupted([&] { return files_.status(name_); });
  if (named.error) return {false, named.error};
  const bool exists = named.value.kind != FileKind::missing;
  return {exists && mine.value.device == named.value.device && mine.value.inode == named.value.inode, {}};
}

KVSTORE_INLINE void FileLock::remove_stale() {
  if (const auto error = files_.remove(name_)) fail(error, "cannot remove a stale");
}

KVSTORE_INLINE void FileLock::write_holder() {
  if (const auto error = uninterrupted([&] { return handle_->truncate(0); })) fail(error, "cannot write");
  // A full disk is no reason to refuse: the id only improves the other store's message.
  static_cast<void>(write_all(*handle_, 0, std::to_string(holder_) + "\n" + process_mark() + "\n"));
}

KVSTORE_INLINE LockedError FileLock::locked() {
  std::array<char, 24> text{};
  const auto got = read_full(*handle_, 0, text);
  const std::string_view found{text.data(), got.error ? 0 : got.value};
  long holder = 0;
  std::from_chars(found.data(), found.data() + found.size(), holder);
  if (holder == holder_ && found.find("\n" + process_mark() + "\n") != std::string_view::npos)
    return LockedError::by_this_process(file_, holder);
  return {file_, holder};
}

KVSTORE_INLINE void FileLock::fail(std::error_code error, std::string_view what) const {
  throw StorageError{file_, error, std::string{what} + " lock file " + path_text(name_)};
}

}}}  // namespace kvstore::v1::detail
