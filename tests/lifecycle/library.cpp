// SPDX-License-Identifier: MIT

// A shared library with a global store: what it holds unsaved is saved when it is unloaded, or at the end.

#include "stage.hpp"

extern "C" void write_in_library(const char* storage, const char* folder) {
  lifecycle::stage = {storage, folder, {}};
  lifecycle::put(lifecycle::static_store(), "in the library");
}
