// SPDX-License-Identifier: MIT
#pragma once

// The first thing that a store asks of its types, before anything is made of them: what cannot be an entry
// would be refused otherwise by the first declaration that does not fit.

#include <type_traits>

#include "kvstore/detail/codec/base.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class T>
consteval bool is_complete() {
  if constexpr (std::is_object_v<T>)
    return requires { sizeof(T); };
  else
    return true;
}

/// The first base class of a store.
template <class Key, class Value>
struct ObjectTypes {
  static_assert(!kHoldsUnknownTree<Value> && !kHoldsUnknownTree<Key>,
                "kvstore: nlohmann::json as a value needs #include <nlohmann/json.hpp>");
  static_assert(!std::is_reference_v<Key> && !std::is_reference_v<Value>,
                "kvstore: a view or reference cannot be stored, since it does not own its text or elements. "
                "Store the object itself, a std::string or a std::vector");
  static_assert(!std::is_array_v<Key> && !std::is_array_v<Value>,
                "kvstore: an array of this form cannot be stored. Store a std::string or a std::array");
  static_assert(!std::is_void_v<Value> && !std::is_function_v<Value> && !std::is_function_v<Key>,
                "kvstore: void and functions are no values. For keys alone, store a bool with each");
  static_assert(!std::is_const_v<Key>,
                "kvstore: a store keeps its keys from changing; name the type of the "
                "key without const");
  static_assert(is_complete<Key>() && is_complete<Value>(),
                "kvstore: a type of this store is only declared here. Include the header that defines it");
};

}}}  // namespace kvstore::v1::detail
