// SPDX-License-Identifier: MIT
#pragma once

// Objects that each thread has one of, to be used again.

#ifdef __MINGW32__
#include <pthread.h>
#endif

namespace kvstore::inline v0::detail {

/// The calling thread's own `T` of this `Owner`, which ends with the thread.
///
/// Not just `thread_local`: mingw-w64 frees a thread's memory of that kind before it destroys what is in it.
template <class T, class Owner>
T& thread_object() {
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
  return *static_cast<T*>(object);
#else
  thread_local T object;
  return object;
#endif
}

}  // namespace kvstore::inline v0::detail
