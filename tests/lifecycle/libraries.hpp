// SPDX-License-Identifier: MIT
#pragma once

// Scenes with a shared library that has its own store and is unloaded before the process ends.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "kvstore/detail/base/process.hpp"
#include "stage.hpp"

namespace lifecycle {

/// Loads the library, lets a new thread write to its store, and unloads the library again.
inline void visit_library() {
  void* const library = ::dlopen(stage.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error{::dlerror()};
  using Write = void (*)(const char* storage, const char* folder);
  const auto write = reinterpret_cast<Write>(::dlsym(library, "write_in_library"));
  if (write == nullptr) throw std::runtime_error{"the library lacks write_in_library"};
  std::thread{[write] { write(stage.storage.c_str(), stage.folder.c_str()); }}.join();
  ::dlclose(library);
  const bool gone = ::dlopen(stage.library.c_str(), RTLD_NOW | RTLD_NOLOAD) == nullptr;
  say(gone ? "unloaded" : "still loaded");
}

inline void unloaded_library() { visit_library(); }

/// Forks after unloading: the library may have been the first to register a handler for forks.
inline void fork_after_an_unloaded_library() {
  visit_library();
  const kvstore::detail::ForkGuard guard;
  const ::pid_t child = ::fork();
  if (child == 0) {
    say(guard.is_foreign() ? "foreign" : "home");
    std::exit(0);
  }
  await(child);
}

}  // namespace lifecycle
