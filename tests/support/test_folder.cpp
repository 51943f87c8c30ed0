// SPDX-License-Identifier: MIT

#include "support/test_folder.hpp"

namespace support {

std::string test_folder() { return KVSTORE_TEST_FOLDER; }

}  // namespace support
