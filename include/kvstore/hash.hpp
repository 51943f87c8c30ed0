// SPDX-License-Identifier: MIT
#pragma once

// The default hash: 64 well-mixed bits, since a store takes its segment from the middle of a hash and its
// place in the segment from the upper end. std::hash of an integer is the integer itself on common
// implementations, which would put neighbours into one segment.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kvstore/detail/base/load_word.hpp"
#include "kvstore/detail/base/sip_hash.hpp"  // IWYU pragma: export

namespace kvstore { inline namespace v1 {

template <class Key>
struct Hash;

namespace detail {

/// Multiplies to 128 bits and folds the halves. Source: wyhash by Wang Yi, public domain.
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
#ifdef __SIZEOF_INT128__
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
#else
  const std::uint64_t ah = a >> 32, al = a & 0xffffffffU, bh = b >> 32, bl = b & 0xffffffffU;
  const std::uint64_t low = al * bl, mid1 = ah * bl + (low >> 32), mid2 = al * bh + (mid1 & 0xffffffffU);
  return ((mid2 << 32) | (low & 0xffffffffU)) ^ (ah * bh + (mid1 >> 32) + (mid2 >> 32));
#endif
}

inline constexpr std::uint64_t kSecret[] = {0xa0761d6478bd642fU, 0xe7037ed1a0b428dbU, 0x8ebc6af09c88c6e3U,
                                            0x589965cc75374cc3U};

/// Hash of the bytes of `text`. Source: wyhash final version 4, its loop for long keys one lane wide.
inline std::uint64_t hash_bytes(std::string_view text) noexcept {
  const char* at = text.data();
  const std::size_t length = text.size();
  std::uint64_t seed = kSecret[0];
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  if (length > 16) {
    std::size_t left = length;
    for (; left > 16; left -= 16, at += 16) {
      seed = mix(load_word<std::uint64_t>(at) ^ kSecret[1], load_word<std::uint64_t>(at + 8) ^ seed);
    }
    a = load_word<std::uint64_t>(at + left - 16);  // the last 16 bytes, overlapping those before
    b = load_word<std::uint64_t>(at + left - 8);
  } else if (length >= 4) {
    const std::size_t step = (length >> 3) << 2;
    a = (load_word<std::uint32_t>(at) << 32) | load_word<std::uint32_t>(at + step);
    b = (load_word<std::uint32_t>(at + length - 4) << 32) | load_word<std::uint32_t>(at + length - 4 - step);
  } else if (length > 0) {
    const auto byte = [at](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(at[i])}; };
    a = (byte(0) << 16) | (byte(length >> 1) << 8) | byte(length - 1);
  }
  return mix(kSecret[1] ^ length, mix(a ^ kSecret[1], b ^ seed));
}

template <class Key>
concept StringLike = std::is_convertible_v<const Key&, std::string_view>;

template <class Key>
concept HashedByStd = requires(const Key& key) { std::hash<Key>{}(key); };

template <class Tuple>
concept TupleLike = requires { std::tuple_size<Tuple>::value; };

/// Hashes without `operator()(key, seed)` cannot be given a secret.
template <class Hash, class Key>
concept SeededFor = std::is_empty_v<Hash> && requires(const Key& key, const HashSeed& seed) {
  { Hash{}(key, seed) } noexcept -> std::same_as<std::uint64_t>;
};

template <class Key>
inline constexpr bool kSeedable = std::is_integral_v<Key> || std::is_enum_v<Key>;
template <class Key>
  requires(!HashedByStd<Key> && TupleLike<Key>)
inline constexpr bool kSeedable<Key> = []<std::size_t... kPart>(std::index_sequence<kPart...>) {
  return (SeededFor<Hash<std::remove_cvref_t<std::tuple_element_t<kPart, Key>>>,
                    std::remove_cvref_t<std::tuple_element_t<kPart, Key>>> &&
          ...);
}(std::make_index_sequence<std::tuple_size<Key>::value>{});

}  // namespace detail

/// The default hash of keys: strings (any string-like type hashes like its `std::string_view`, so that
/// lookups need no temporary), integers, enums, pairs and tuples of these, and any type that `std::hash`
/// accepts. For another key type, specialise `Hash` or pass a hash of your own to the store.
///
/// *Keys chosen by strangers*: the first form of the call has no secret, so anybody can find keys that
/// collide. A table in which keys crowd therefore draws a secret of its own, `HashSeed`, and places its
/// entries by the second form. Verbs and loads then stay O(1) per key, whatever the keys are. There is a
/// second form for strings, integers, enums, and pairs and tuples of these. There is none for types that
/// `std::hash` hashes: chosen keys of these may slow the store down. A hash of your own may have a second
/// form, if it is an empty class. The segment of a key, and with it the order of a file, never depend on a
/// secret.
template <class Key>
struct Hash {
  using is_avalanching = void;  ///< its bits are well mixed already; a store mixes those of other hashes

  /// 64 well-mixed bits.
  [[nodiscard]] std::uint64_t operator()(const Key& key) const {
    if constexpr (std::is_integral_v<Key> || std::is_enum_v<Key>) {
      return detail::mix(static_cast<std::uint64_t>(key) ^ detail::kSecret[2], detail::kSecret[3]);
    } else if constexpr (detail::HashedByStd<Key>) {
      return detail::mix(std::hash<Key>{}(key) ^ detail::kSecret[2], detail::kSecret[3]);
    } else if constexpr (detail::TupleLike<Key>) {
      std::uint64_t seed = detail::kSecret[0];
      std::apply(
          [&seed](const auto&... part) {
            ((seed = detail::mix(seed ^ detail::kSecret[1],
                                 Hash<std::remove_cvref_t<decltype(part)>>{}(part) ^ detail::kSecret[3])),
             ...);
          },
          key);
      return seed;
    } else {
      static_assert(
          detail::HashedByStd<Key>,
          "kvstore: this key has no hash. Specialise std::hash or kvstore::Hash for its type, or give "
          "the store a hash");
      return 0;
    }
  }

  /// 64 bits that nobody can foresee who does not know the secret.
  [[nodiscard]] std::uint64_t operator()(const Key& key, const HashSeed& seed) const noexcept
    requires detail::kSeedable<Key>
  {
    if constexpr (std::is_integral_v<Key> || std::is_enum_v<Key>) {
      return detail::sip_hash(static_cast<std::uint64_t>(key), seed);
    } else {
      detail::SipHash hash{seed};
      std::apply(
          [&](const auto&... part) {
            (hash.add(Hash<std::remove_cvref_t<decltype(part)>>{}(part, seed)), ...);
          },
          key);
      return hash.end();
    }
  }
};

/// The same for strings.
template <class Key>
  requires detail::StringLike<Key>
struct Hash<Key> {
  using is_avalanching = void;           ///< as above
  using lookup_type = std::string_view;  ///< what lookups take instead of a `const Key&`

  /// 64 well-mixed bits, the same for every string-like type.
  [[nodiscard]] std::uint64_t operator()(std::string_view key) const noexcept {
    return detail::hash_bytes(key);
  }

  /// The same, with a secret.
  [[nodiscard]] std::uint64_t operator()(std::string_view key, const HashSeed& seed) const noexcept {
    return detail::sip_hash(key, seed);
  }
};

}}  // namespace kvstore::v1
