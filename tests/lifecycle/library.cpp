// SPDX-License-Identifier: MIT

// A shared library with a global store. Unsaved operations are saved when the library is unloaded, or at the
// end of the process.

#include "stage.hpp"

extern "C" void write_in_library(const char* storage, const char* folder) {
  lifecycle::stage = {storage, folder, {}};
  lifecycle::put(lifecycle::static_store(), "in the library");
}
