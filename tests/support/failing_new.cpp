// SPDX-License-Identifier: MIT

#define KVSTORE_REPLACED [[gnu::noinline]]
#include "support/failing_new.hpp"
