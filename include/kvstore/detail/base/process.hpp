// SPDX-License-Identifier: MIT
#pragma once

// The process that an object belongs to. `fork` copies every object into a child that has none of the
// parent's threads but all of its open files. There a thread cannot be joined, a mutex may stay locked for
// ever, and everything written, cut or removed belongs to the parent.

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

#include "kvstore/detail/base/descriptors.hpp"

#ifndef _WIN32
#include <pthread.h>
#include <unistd.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

#ifdef _WIN32

/// Windows has no `fork`: every object belongs to the process that it is in.
class ForkGuard {
 public:
  constexpr ForkGuard() noexcept {}  // so that a constant one may be made

  [[nodiscard]] static bool is_foreign() noexcept { return false; }
  [[nodiscard]] static bool is_foreign_by_id() noexcept { return false; }
};

#else

/// Goes up in a forked child. There is one instance for all shared objects of a process, even if they hide
/// their symbols: code of one may ask about an object made by code of another.
[[gnu::visibility("default")]] inline constinit std::atomic<std::uint32_t> fork_generation = 0;

/// Hidden: each shared object registers its own. `dlclose` removes the handlers of the object that it
/// unloads, and code that is gone must not be called. If several handlers count one fork, the fork is still
/// counted.
class [[gnu::visibility("hidden")]] ForkWatch {
 public:
  static void begin() noexcept {
    if (registered.load(std::memory_order_acquire)) return;
    // Two threads at once register two handlers, which does no harm. A lock would: if a child is forked while
    // another thread holds the lock, the child waits for ever. If there is no memory for a handler,
    // `is_foreign_by_id` still knows.
    static_cast<void>(::pthread_atfork(nullptr, nullptr, [] { begin_child(); }));
    registered.store(true, std::memory_order_release);
  }

 private:
  static void begin_child() noexcept {
    fork_generation.fetch_add(1, std::memory_order_relaxed);
    LockedDescriptor::close_in_child();
    StandardFiles::begin_child();
  }

  static inline constinit std::atomic<bool> registered = false;
};

/// Remembers the process that made it; a copy remembers the same process. *Thread safety*: as a constant.
class ForkGuard {
 public:
  ForkGuard() noexcept : generation_{watched_generation()}, process_{::getpid()} {}

  /// Whether the calling process is a forked child of the process that made it. A load and a comparison.
  /// Misses children that were made behind the C library's back, by the system call itself or by `_Fork`.
  [[nodiscard]] bool is_foreign() const noexcept {
    return generation_ != fork_generation.load(std::memory_order_relaxed);
  }

  /// The same, but misses no child. A system call: for callers that are about to make more system calls
  /// anyway.
  [[nodiscard]] bool is_foreign_by_id() const noexcept { return is_foreign() || process_ != ::getpid(); }

 private:
  static std::uint32_t watched_generation() noexcept {
    ForkWatch::begin();
    return fork_generation.load(std::memory_order_relaxed);
  }

  std::uint32_t generation_;
  long process_;
};

#endif

/// An object left to the parent, in a list that only a leak checker ever reads.
struct LeftObject {
  LeftObject* next = nullptr;
  void* handle = nullptr;
};
inline constinit std::atomic<LeftObject*> left_objects = nullptr;

inline void leave_to_parent(LeftObject& object) noexcept {
  object.next = left_objects.load(std::memory_order_relaxed);
  while (!left_objects.compare_exchange_weak(object.next, &object, std::memory_order_release,
                                             std::memory_order_relaxed)) {}
}

/// Leaves an object of a C library to the parent instead of freeing it.
inline void leave_to_parent(void* handle) noexcept {
  if (auto* const object = new (std::nothrow) LeftObject{nullptr, handle}) leave_to_parent(*object);
}

/// Leaves the contents of `object` to the parent, whose other threads may have been changing them. The
/// contents are moved away, so they are neither freed nor looked into. If there is no memory for that, they
/// stay.
template <class T>
void leave_contents_to_parent(T& object) noexcept {
  struct Left : LeftObject {
    explicit Left(T&& contents) noexcept : object{std::move(contents)} {}
    T object;
  };
  if (auto* const left = new (std::nothrow) Left{std::move(object)}) leave_to_parent(*left);
}

/// An optional `T` on the heap, which is destroyed only in the process that made it. A forked child leaves it
/// untouched for good, since it may contain threads to join, locks that a thread of the parent holds, or
/// files to tidy.
///
/// *Thread safety*: as std::optional.
template <class T>
class LeftToParent {
 public:
  LeftToParent() = default;
  template <class... Args>
  explicit LeftToParent(std::in_place_t, Args&&... args) : node_{new Node(std::forward<Args>(args)...)} {}
  LeftToParent(LeftToParent&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
  LeftToParent& operator=(LeftToParent&& other) noexcept {
    if (this != &other) {
      reset();
      node_ = std::exchange(other.node_, nullptr);
    }
    return *this;
  }
  ~LeftToParent() { reset(); }

  /// Makes a new object in place of the old one. Strong.
  template <class... Args>
  T& emplace(Args&&... args) {
    *this = LeftToParent{std::in_place, std::forward<Args>(args)...};
    return node_->object;
  }

  /// Destroys or leaves the object; then there is none.
  void reset() noexcept {
    Node* const node = std::exchange(node_, nullptr);
    if (node == nullptr) return;
    if (node->home.is_foreign_by_id()) return leave_to_parent(*node);
    delete node;
  }

  /// Leaves the object untouched, also in the process that made it; then there is none here.
  void leave() noexcept {
    if (Node* const node = std::exchange(node_, nullptr)) leave_to_parent(*node);
  }

  [[nodiscard]] explicit operator bool() const noexcept { return node_ != nullptr; }
  [[nodiscard]] T& operator*() const noexcept { return node_->object; }
  [[nodiscard]] T* operator->() const noexcept { return &node_->object; }

 private:
  struct Node : LeftObject {
    template <class... Args>
    explicit Node(Args&&... args) : object(std::forward<Args>(args)...) {}

    ForkGuard home;
    T object;
  };

  Node* node_ = nullptr;
};

}}}  // namespace kvstore::v1::detail
