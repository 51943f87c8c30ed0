// SPDX-License-Identifier: MIT
#pragma once

// Objects of which each thread has one, to be reused.

#include <utility>

#ifdef __MINGW32__
#include <pthread.h>
#endif

namespace kvstore { inline namespace v1 { namespace detail {

#ifndef __MINGW32__

/// Whether the calling thread's object has been destroyed. Trivial, so that it can still be read afterwards.
template <class T, class Owner>
inline constinit thread_local bool thread_object_ended = false;

#endif

/// The calling thread's own `T` of this `Owner`, which is destroyed with the thread; null afterwards. The
/// main thread's objects are destroyed before the first static object, and before handlers of `exit` run. The
/// objects of one thread are destroyed in an unspecified order. Code that a destructor can call must
/// therefore do without: see `TakenOut`.
///
/// A plain `thread_local` would not do: mingw-w64 frees a thread's memory of that kind before it destroys the
/// objects in it.
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

/// The calling thread's own `T` of this `Owner`, taken out while this object lives, so that a second one at
/// the same time gets a second `T`; a new `T` once the thread's own is destroyed.
template <class T, class Owner>
class TakenOut {
 public:
  TakenOut() noexcept : object_(taken()) {}  // braces would make an array of a JSON value
  TakenOut(const TakenOut&) = delete;
  TakenOut& operator=(const TakenOut&) = delete;

  /// Gives the object back for the next `TakenOut`.
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
