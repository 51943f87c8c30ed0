// SPDX-License-Identifier: MIT
#pragma once

// Where tests/ is, for tests that use its files. One small source file knows: were the path in every compiler
// command, a compiler cache could not serve a second checkout.

#include <string>

namespace support {

[[nodiscard]] std::string test_folder();

}  // namespace support
