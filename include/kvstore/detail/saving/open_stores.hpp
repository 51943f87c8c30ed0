// SPDX-License-Identifier: MIT
#pragma once

// The stores that are open when the process ends, so that losses at that moment are reported.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string_view>

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
void complain(const Loss& loss) noexcept;

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

  KVSTORE_HIDDEN static List& list();

  KVSTORE_HIDDEN static void watch_the_end() noexcept;

  KVSTORE_HIDDEN static inline constinit std::atomic<List*> lists = nullptr;
  KVSTORE_HIDDEN static inline constinit std::atomic<bool> watching = false;
};

/// Keeps a store on the list while it exists. Declare it as a member of the store, after the members that
/// `OpenStore::loss` uses.
class OpenStores::Entry {
 public:
  explicit Entry(const OpenStore& store);
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry();

 private:
  friend class OpenStores;

  const OpenStore& store_;
  List& list_;
  Entry* next_ = nullptr;
  Entry* previous_ = nullptr;
};

}}}  // namespace kvstore::v1::detail

#undef KVSTORE_HIDDEN

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/saving/open_stores.ipp"
#endif
