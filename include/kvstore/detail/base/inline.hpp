// SPDX-License-Identifier: MIT
#pragma once

// The specifier of functions that the compiled part may hold.

#ifdef KVSTORE_COMPILED
#define KVSTORE_INLINE
#else
#define KVSTORE_INLINE inline
#endif
