// SPDX-License-Identifier: MIT
#pragma once

// The path of tests/, for tests that use its files. Only one small source file contains the path. If every
// compiler command contained it, a compiler cache could not serve a second checkout.

#include <string>

namespace support {

[[nodiscard]] std::string test_folder();

}  // namespace support
