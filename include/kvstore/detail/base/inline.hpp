// SPDX-License-Identifier: MIT
#pragma once

// How functions are defined that the compiled part may have.

#ifdef KVSTORE_COMPILED
#define KVSTORE_INLINE
#else
#define KVSTORE_INLINE inline
#endif
