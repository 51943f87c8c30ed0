// SPDX-License-Identifier: MIT
#pragma once

// The argument type of lookups: a view if the hash offers one, so that no temporary key is made.

namespace kvstore { inline namespace v1 { namespace detail {

template <class Key, class Hash>
struct LookupKeyOf {
  using type = const Key&;
};

template <class Key, class Hash>
  requires requires { typename Hash::lookup_type; }
struct LookupKeyOf<Key, Hash> {
  using type = typename Hash::lookup_type;
};

template <class Key, class Hash>
using LookupKey = typename LookupKeyOf<Key, Hash>::type;

}}}  // namespace kvstore::v1::detail
