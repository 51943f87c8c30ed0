// SPDX-License-Identifier: MIT
#pragma once

// The common base of the codec headers: the declaration of `Codec`, and the properties that codecs declare
// beyond their functions. The class itself is documented in `kvstore/codec.hpp`.

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <nlohmann/json_fwd.hpp>

#include "kvstore/detail/json/scratch_writer.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 {

template <class T>
struct Codec;

namespace detail {

/// Types that have a codec, whatever their members have. Codecs of containers ask no more, as a type may
/// contain itself.
template <class T>
concept HasOwnCodec = !requires { typename Codec<T>::Missing; };

/// Whether every member and part of `T` has a codec. `Around` are the types that contain `T`. Defined in
/// missing.hpp.
template <class T, class... Around>
consteval bool has_whole_codec();

}  // namespace detail

/// Types that can be written as JSON and read back, with all their members. Requires `kvstore/codec.hpp`.
template <class T>
concept HasCodec = detail::HasOwnCodec<T> && detail::has_whole_codec<T>();

}}  // namespace kvstore::v1

namespace kvstore { inline namespace v1 { namespace detail {

/// The kind of JSON value that a codec writes, if it is always the same; otherwise `any`.
enum class JsonKind { boolean, number, string, array, object, any };

template <class T>
[[nodiscard]] consteval JsonKind json_kind() {
  if constexpr (requires { Codec<T>::kKind; }) {
    return Codec<T>::kKind;
  } else {
    return JsonKind::any;
  }
}

/// Types that a codec needs codecs for, as its member `Parts`.
template <class... Each>
struct TypeList {};

/// Codecs whose `check` is complete for a value at any depth of nesting: the depth of their output is known
/// from the type. A codec declares this by `kFlat`.
template <class T>
concept FlatCodec = requires(const T& value) {
  Codec<T>::check(value);
  requires Codec<T>::kFlat;
};

/// Types that do not own the values that they show, and so cannot be read back.
template <class T>
inline constexpr bool kIsView = false;
template <class Char, class Traits>
inline constexpr bool kIsView<std::basic_string_view<Char, Traits>> = true;
template <class T, std::size_t kExtent>
inline constexpr bool kIsView<std::span<T, kExtent>> = true;
template <class T>
inline constexpr bool kIsView<std::reference_wrapper<T>> = true;

template <class T>
struct TreeFor {
  using type = nlohmann::json;
};

/// `nlohmann::json` by a name that depends on `T`. A template that mentions it compiles with only the
/// declaration of `nlohmann::json` in sight, as long as no value goes through a tree.
template <class T>
using TreeOf = typename TreeFor<T>::type;

/// Whether the program has included nlohmann/json.hpp. Depends on `T`, since the answer may change further
/// down in the same file.
template <class T>
concept KnowsTrees = requires { sizeof(TreeOf<T>); };

/// Trees of a program that has not included nlohmann/json.hpp.
template <class T>
concept UnknownTree =
    (std::same_as<T, nlohmann::json> || std::same_as<T, nlohmann::ordered_json>) && !requires { sizeof(T); };

/// Whether `T` is such a tree or a container of such.
template <class T>
inline constexpr bool kHoldsUnknownTree = UnknownTree<T>;
template <template <class...> class Container, class... Arguments>
inline constexpr bool kHoldsUnknownTree<Container<Arguments...>> = (kHoldsUnknownTree<Arguments> || ...);

/// Passed to a user's `to_json` to detect it; nlohmann's own overloads do not match.
struct ToJsonProbe {
  operator nlohmann::json&() const;  // NOLINT(google-explicit-constructor)
};

/// Competes with a user's `kvstore_fields(const User*)`: a worse match for `User` itself, and a better one
/// for a class derived from it, whose own members the list would leave out.
template <class T>
void kvstore_fields(const volatile T*) = delete;

/// Types whose author wrote a `kvstore_fields`.
template <class T>
concept ListsItsFields = std::is_class_v<T> && requires(T* type) { kvstore_fields(type); };

/// Types whose author wrote a `to_json` or a list of fields. These take precedence, even if the type looks
/// like a container.
template <class T>
concept ConvertsItself =
    ListsItsFields<T> || requires(ToJsonProbe& probe, const T& value) { to_json(probe, value); };

/// Stands in for the codec of a type that has none, so that using it produces a helpful error: missing.hpp.
template <class T>
struct MissingCodec;

/// A codec that exists only if the types inside `T` have codecs.
template <bool kExists, class Impl, class T>
using CodecIf = std::conditional_t<kExists, Impl, MissingCodec<T>>;

/// Refuses a value that could not be read back from its JSON text.
/// @throws ValueError
template <class T>
void check_value(const T& value) {
  if constexpr (requires { Codec<T>::check(value); }) {
    Codec<T>::check(value);
  } else {
    ScratchWriter scratch;
    Codec<T>::encode(value, *scratch);
  }
}

/// A copy, of a move-only value through its JSON text.
template <class T>
[[nodiscard]] std::optional<T> duplicate_of(const T& value) {
  if constexpr (std::copy_constructible<T>) {
    return value;
  } else {
    ScratchWriter text;
    Codec<T>::encode(value, *text);
    JsonReader reader{text->text()};
    return Codec<T>::decode(reader);
  }
}

}}}  // namespace kvstore::v1::detail
