// SPDX-License-Identifier: MIT
#pragma once

// Which process an object belongs to. `fork` copies every object into a child that has none of the parent's
// threads and all of its open files: there a thread cannot be joined, a mutex may stay locked for ever, and
// what is written, cut or removed is the parent's.

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

/// Goes up in a forked child. One for all shared objects of a process, whatever they hide, since an object
/// made by the code of one is asked by the code of another.
[[gnu::visibility("default")]] inline constinit std::atomic<std::uint32_t> fork_generation = 0;

/// Hidden: each shared object registers its own. `dlclose` takes the handlers of what it unloads away, and
/// code that is gone must not be called. A fork that several of them count has been counted all the same.
class [[gnu::visibility("hidden")]] ForkWatch {
 public:
  static void begin() noexcept {
    if (registered.load(std::memory_order_acquire)) return;
    // Two threads at once register two handlers, which does no harm. A lock would: a child that is forked
    // while another thread holds it waits for ever. Without memory for one, `is_foreign_by_id` still knows.
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

/// Remembers the process that made it; a copy remembers the same.
/// *Thread safety*: as a constant.
class ForkGuard {
 public:
  ForkGuard() noexcept : generation_{watched_generation()}, process_{::getpid()} {}

  /// Whether this is a forked child of the process that made it. A load and a comparison; misses children
  /// that were made behind the C library's back, by the system call itself or by `_Fork`.
  [[nodiscard]] bool is_foreign() const noexcept {
    return generation_ != fork_generation.load(std::memory_order_relaxed);
  }

  /// The same, and misses none of them. A system call: for those who are about to make more of them.
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

/// What was left to the parent, as a list that nothing ever reads but a leak checker.
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

/// Leaves what a C library has made, in place of freeing it.
inline void leave_to_parent(void* handle) noexcept {
  if (auto* const object = new (std::nothrow) LeftObject{nullptr, handle}) leave_to_parent(*object);
}

/// Leaves what `object` holds, which another thread of the parent may have been changing: it is moved away,
/// and so neither freed nor looked into. Without memory for that it stays.
template <class T>
void leave_contents_to_parent(T& object) noexcept {
  struct Left : LeftObject {
    explicit Left(T&& contents) noexcept : object{std::move(contents)} {}
    T object;
  };
  if (auto* const left = new (std::nothrow) Left{std::move(object)}) leave_to_parent(*left);
}

/// Perhaps a `T` on the heap, which is destroyed only in the process that made it. A forked child leaves it
/// as it is, for good: threads to join, locks that a thread of the parent holds, files to tidy.
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

  /// Makes a new one in place of the old. Strong.
  template <class... Args>
  T& emplace(Args&&... args) {
    *this = LeftToParent{std::in_place, std::forward<Args>(args)...};
    return node_->object;
  }

  /// Destroys or leaves it; then there is none.
  void reset() noexcept {
    Node* const node = std::exchange(node_, nullptr);
    if (node == nullptr) return;
    if (node->home.is_foreign_by_id()) return leave_to_parent(*node);
    delete node;
  }

  /// Leaves it as it is, also in the process that made it; then there is none here.
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
