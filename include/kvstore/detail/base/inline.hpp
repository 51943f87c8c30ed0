// SPDX-License-Identifier: MIT
#pragma once

// The specifier of functions that the compiled part may hold. It also stands in classes, before a virtual
// function that is only declared there: otherwise that would be the class's key function, and every file that
// includes the definitions would compile the whole class, used or not.

#ifdef KVSTORE_COMPILED
#define KVSTORE_INLINE
#else
#define KVSTORE_INLINE inline
#endif
