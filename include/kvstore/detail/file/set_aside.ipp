// SPDX-License-Identifier: MIT
#pragma once

// The definitions of set_aside.hpp.

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/path_text.hpp"
#include "kvstore/detail/file/atomic_file.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/known_file.hpp"
#include "kvstore/detail/file/set_aside.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void SetAside::put(AtomicFile& sealed, std::uint32_t crc) {
  auto name = free_name();
  sealed.aim_at(name);
  name_ = std::move(name);
  known_.remember(sealed.sealed(), crc);
  sealed.rename();
  sealed.sync_folder();
  throw ConflictError{file_, name_};
}

KVSTORE_INLINE void SetAside::drop() noexcept {
  if (name_.empty()) return;
  try {
    if (known_.compare(files_, name_) == FileState::same) static_cast<void>(files_.remove(name_));
    name_.clear();
  } catch (...) {  // NOLINT(bugprone-empty-catch): one file too many does no harm
  }
}

KVSTORE_INLINE std::filesystem::path SetAside::free_name() {
  for (int number = 0; number < kMaxNames; ++number) {
    auto name = file_;
    name += number == 0 ? ".ours" : ".ours." + std::to_string(number);
    if (name == name_ && known_.compare(files_, name) != FileState::changed) return name;
    const auto status = uninterrupted([&] { return files_.status(name); });
    if (status.error) fail(status.error, "cannot look at " + path_text(name));
    if (status.value.kind == FileKind::missing) return name;
  }
  fail({}, "every name from .ours to .ours." + std::to_string(kMaxNames - 1) + " is taken");
}

KVSTORE_INLINE void SetAside::fail(std::error_code error, const std::string& what) const {
  throw StorageError{
      file_, error,
      "another program has changed it, and the store's entries could not be saved beside it: " + what};
}

}}}  // namespace kvstore::v1::detail
