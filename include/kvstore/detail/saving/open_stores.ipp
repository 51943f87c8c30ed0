// SPDX-License-Identifier: MIT
#pragma once

// The definitions of open_stores.hpp.

#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

#include "kvstore/detail/base/complaint.hpp"
#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/base/process.hpp"
#include "kvstore/detail/saving/open_stores.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void complain(const Loss& loss) noexcept {
  if (loss.operations == 0) return;
  std::array<char, 24> digits{};
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), loss.operations).ptr;
  ComplaintLine line;
  line.add("kvstore: ").add(loss.path).add(": ").add({digits.data(), end});
  line.add(loss.operations == 1 ? " operation was not saved: " : " operations were not saved: ")
      .add(loss.why);
  write_to_standard_error(line.end());
}

KVSTORE_INLINE auto OpenStores::list() -> List& {
  List* current = lists.load(std::memory_order_acquire);
  while (current == nullptr || current->home.is_foreign_by_id()) {
    auto* const made = new List{.parents = current};
    if (lists.compare_exchange_strong(current, made, std::memory_order_acq_rel)) return *made;
    delete made;
  }
  return *current;
}

KVSTORE_INLINE void OpenStores::watch_the_end() noexcept {
  if (watching.exchange(true, std::memory_order_relaxed)) return;
  static_cast<void>(std::atexit([] { complain_of_all(); }));
}

KVSTORE_INLINE OpenStores::Entry::Entry(const OpenStore& store) : store_{store}, list_{list()} {
  watch_the_end();
  const std::scoped_lock lock{list_.mutex};
  next_ = std::exchange(list_.first, this);
  if (next_ != nullptr) next_->previous_ = this;
}

KVSTORE_INLINE OpenStores::Entry::~Entry() {
  if (list_.home.is_foreign_by_id()) return;
  const std::scoped_lock lock{list_.mutex};
  (previous_ != nullptr ? previous_->next_ : list_.first) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

KVSTORE_INLINE void OpenStores::complain_of_all() noexcept {
  List* const current = lists.load(std::memory_order_acquire);
  if (current == nullptr || current->home.is_foreign_by_id()) return;
  const std::scoped_lock lock{current->mutex};
  for (const Entry* entry = current->first; entry != nullptr; entry = entry->next_) {
    complain(entry->store_.loss());
  }
}

}}}  // namespace kvstore::v1::detail
