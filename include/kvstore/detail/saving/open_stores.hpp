// SPDX-License-Identifier: MIT
#pragma once

// The stores that are open when the process ends, so that losses at that moment are reported.

#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

#include "kvstore/detail/base/complaint.hpp"
#include "kvstore/detail/base/process.hpp"

#ifdef _WIN32
#define KVSTORE_HIDDEN  // as everything is there that is not exported
#else
#define KVSTORE_HIDDEN [[gnu::visibility("hidden")]]
#endif

namespace kvstore { inline namespace v1 { namespace detail {

/// Operations that are lost with the process.
struct Loss {
  std::uint64_t operations = 0;
  std::string_view path;  ///< of the store
  std::string_view why;
};

/// Reports "kvstore: PATH: N operations were not saved: WHY", if there are any.
inline void complain(const Loss& loss) noexcept {
  if (loss.operations == 0) return;
  std::array<char, 24> digits{};
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), loss.operations).ptr;
  ComplaintLine line;
  line.add("kvstore: ").add(loss.path).add(": ").add({digits.data(), end});
  line.add(loss.operations == 1 ? " operation was not saved: " : " operations were not saved: ")
      .add(loss.why);
  write_to_standard_error(line.end());
}

/// The view that the end of the process has of a store.
class OpenStore {
 public:
  OpenStore() = default;
  OpenStore(const OpenStore&) = delete;
  OpenStore& operator=(const OpenStore&) = delete;

  /// The operations that would be lost if the process ended now. Called while other threads may still use the
  /// store, so it takes no lock, and the path must not change.
  [[nodiscard]] virtual Loss loss() const noexcept = 0;

 protected:
  ~OpenStore() = default;
};

/// The list of open stores. Each shared object has its own, hidden from the others, since its stores end with
/// it.
class OpenStores {
 public:
  class Entry;

  /// Reports every open store that would lose something. Called when the process ends, after the static
  /// stores are gone, since it was registered before the first of them was made.
  KVSTORE_HIDDEN static void complain_of_all() noexcept;

 private:
  /// The list of one process. A forked child begins its own: it may have been forked while another thread of
  /// the parent held the mutex. Never destroyed: entries outlive the shared object that owns the list.
  struct List {
    ForkGuard home{};
    std::mutex mutex{};
    Entry* first = nullptr;
    List* parents = nullptr;  // reached from here only by a leak checker
  };

  KVSTORE_HIDDEN static List& list() {
    List* current = lists.load(std::memory_order_acquire);
    while (current == nullptr || current->home.is_foreign_by_id()) {
      auto* const made = new List{.parents = current};
      if (lists.compare_exchange_strong(current, made, std::memory_order_acq_rel)) return *made;
      delete made;
    }
    return *current;
  }

  KVSTORE_HIDDEN static void watch_the_end() noexcept {
    if (watching.exchange(true, std::memory_order_relaxed)) return;
    static_cast<void>(std::atexit([] { complain_of_all(); }));
  }

  KVSTORE_HIDDEN static inline constinit std::atomic<List*> lists = nullptr;
  KVSTORE_HIDDEN static inline constinit std::atomic<bool> watching = false;
};

/// Keeps a store on the list while it exists. Declare it as a member of the store, after the members that
/// `OpenStore::loss` uses.
class OpenStores::Entry {
 public:
  explicit Entry(const OpenStore& store) : store_{store}, list_{list()} {
    watch_the_end();
    const std::scoped_lock lock{list_.mutex};
    next_ = std::exchange(list_.first, this);
    if (next_ != nullptr) next_->previous_ = this;
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() {
    if (list_.home.is_foreign_by_id()) return;
    const std::scoped_lock lock{list_.mutex};
    (previous_ != nullptr ? previous_->next_ : list_.first) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
  }

 private:
  friend class OpenStores;

  const OpenStore& store_;
  List& list_;
  Entry* next_ = nullptr;
  Entry* previous_ = nullptr;
};

inline void OpenStores::complain_of_all() noexcept {
  List* const current = lists.load(std::memory_order_acquire);
  if (current == nullptr || current->home.is_foreign_by_id()) return;
  const std::scoped_lock lock{current->mutex};
  for (const Entry* entry = current->first; entry != nullptr; entry = entry->next_) {
    complain(entry->store_.loss());
  }
}

}}}  // namespace kvstore::v1::detail

#undef KVSTORE_HIDDEN
