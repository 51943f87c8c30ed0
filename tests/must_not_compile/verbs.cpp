// SPDX-License-Identifier: MIT

// Calls of verbs that must not compile; tests/CMakeLists.txt chooses one and says what the compiler's message
// must contain. CORRECT is one that compiles.

#include <string>

#include "kvstore/key_value_store.hpp"

void call(kvstore::KeyValueStore<std::string, int>& store) {
#if defined(MODIFY_A_COPY)
  store.modify("a", [](int value) { ++value; });
#elif defined(ITERATE)
  for (const auto& entry : store) static_cast<void>(entry);
#elif defined(SUBSCRIPT)
  store["a"] = 5;
#else
  store.modify("a", [](int& value) { ++value; });
#endif
}
