// SPDX-License-Identifier: MIT
#pragma once

// Objects that each thread has one of, to be used again.

#include <optional>
#include <utility>

#ifdef __MINGW32__
#include <pthread.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

#ifndef __MINGW32__

/// Whether the calling thread's object has ended. Trivial, so that it can still be read then.
template <class T, class Owner>
inline constinit thread_local bool thread_object_ended = false;

#endif

/// The calling thread's own `T` of this `Owner`, which ends with the thread; null once it has. The main
/// thread's ends before the first static object does, and before handlers of `exit` run; one thread's end in
/// an order of their own. So whatever can be called from a destructor has to do without: see `Reused`.
///
/// Not just `thread_local`: mingw-w64 frees a thread's memory of that kind before it destroys what is in it.
template <class T, class Owner>
[[nodiscard]] T* thread_object() {
#ifdef __MINGW32__
  struct Slot {
    Slot() {
      ::pthread_key_create(&key, [](void* object) { delete static_cast<T*>(object); });
    }
    ::pthread_key_t key{};
  };
  static const Slot slot;
  void* object = ::pthread_getspecific(slot.key);
  if (object == nullptr) {
    object = new T;
    ::pthread_setspecific(slot.key, object);
  }
  return static_cast<T*>(object);
#else
  struct Guarded {
    ~Guarded() { thread_object_ended<T, Owner> = true; }
    T object;
  };
  if (thread_object_ended<T, Owner>) return nullptr;
  thread_local Guarded guarded;
  return &guarded.object;
#endif
}

/// The calling thread's own `T` of this `Owner`, or, where that has ended, one that ends with this.
template <class T, class Owner>
class Reused {
 public:
  Reused() : object_{thread_object<T, Owner>()} {
    if (object_ == nullptr) object_ = &spare_.emplace();
  }
  Reused(const Reused&) = delete;
  Reused& operator=(const Reused&) = delete;

  [[nodiscard]] T& operator*() noexcept { return *object_; }

 private:
  std::optional<T> spare_;
  T* object_;
};

/// The calling thread's own `T` of this `Owner`, taken out for as long as this lives, so that a second one at
/// the same time gets a second object; a new `T` where the thread's has ended.
template <class T, class Owner>
class TakenOut {
 public:
  TakenOut() noexcept : object_(taken()) {}  // braces would make an array of a JSON value
  TakenOut(const TakenOut&) = delete;
  TakenOut& operator=(const TakenOut&) = delete;

  /// Gives the object back, for the next to take.
  void give_back() noexcept {
    if (T* const kept = thread_object<T, Owner>()) *kept = std::move(object_);
  }

  [[nodiscard]] T& operator*() noexcept { return object_; }
  [[nodiscard]] const T& operator*() const noexcept { return object_; }

 private:
  static T taken() noexcept {
    T* const kept = thread_object<T, Owner>();
    return kept != nullptr ? T(std::move(*kept)) : T();
  }

  T object_;
};

}}}  // namespace kvstore::v1::detail
