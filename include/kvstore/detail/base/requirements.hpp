// SPDX-License-Identifier: MIT
#pragma once

// Every public header includes this one first. A compiler that cannot compile the library says so in one
// line, and not in thousands. The missing file is there because no other error ends a compilation at once.

#if __cplusplus < 202002L
#error "kvstore needs C++20: compile with -std=c++20 or newer"
#include <the_error_above_ends_the_compilation>
#endif

#ifndef __cpp_exceptions
#error "kvstore needs exceptions: compile without -fno-exceptions"
#include <the_error_above_ends_the_compilation>
#endif
