// SPDX-License-Identifier: MIT
#pragma once

// Messages of the compiler about types that have no codec. The constructors of the stores ask first, so that
// the first message names the type, the remedy and the program's own line.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/fields.hpp"
#include "kvstore/detail/codec/sequence.hpp"
#include "kvstore/fields.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Looks for lists without the competitor that refuses some of them.
namespace lists {
void kvstore_fields();  // ends the search in the scopes around

template <class T>
concept OfBase = requires(T* type) { kvstore_fields(type); };
template <class T>
concept ByReference = requires(const T& value) { kvstore_fields(value); };
}  // namespace lists

/// Finds a list whose function is wrong in itself. The compiler has complained of it already, and the
/// function cannot be called, though it is the best match.
namespace broken_lists {
struct NoList {};
NoList kvstore_fields(const volatile void*);

template <class T>
concept HasOne = std::is_class_v<T> && !requires(T* type) { kvstore_fields(type); };
}  // namespace broken_lists

/// Tells a list that takes its type by value from one that takes a reference, which a temporary object does
/// not prefer to ours.
namespace lists_by_value {
struct NoList {};
template <class T>
NoList kvstore_fields(T&&);

template <class T>
concept HasOne = requires(T&& value) {
  kvstore_fields(static_cast<T&&>(value));
  requires !std::is_same_v<decltype(kvstore_fields(static_cast<T&&>(value))), NoList>;
};
}  // namespace lists_by_value

/// The types whose codecs the codec of `T` uses.
template <class T>
struct PartsOf {
  using Type = TypeList<>;
};
template <class T>
  requires Iterable<T> && requires { typename T::mapped_type; }
struct PartsOf<T> {
  using Type = TypeList<typename T::key_type, typename T::mapped_type>;
};
template <class T>
  requires(
      Iterable<T> && !requires { typename T::mapped_type; } && requires { typename T::value_type; })
struct PartsOf<T> {
  using Type = TypeList<typename T::value_type>;
};
template <class T>
struct PartsOf<std::optional<T>> {
  using Type = TypeList<T>;
};
template <class T, class Deleter>
struct PartsOf<std::unique_ptr<T, Deleter>> {
  using Type = TypeList<T>;
};
template <class T>
struct PartsOf<std::shared_ptr<T>> {
  using Type = TypeList<std::remove_const_t<T>>;
};
template <class First, class Second>
struct PartsOf<std::pair<First, Second>> {
  using Type = TypeList<First, Second>;
};
template <class... Parts>
struct PartsOf<std::tuple<Parts...>> {
  using Type = TypeList<Parts...>;
};
template <class... Parts>
struct PartsOf<std::variant<Parts...>> {
  using Type = TypeList<Parts...>;
};

template <class... Parts>
consteval bool lack_codecs(TypeList<Parts...>) {
  return (!HasOwnCodec<Parts> || ...);
}

template <class T>
consteval bool is_of_the_standard_library() {
  return name_of_type<T>().starts_with("std::");
}

/// The types of more_codecs.hpp.
template <class T>
consteval bool has_codec_in_other_header() {
  const std::string_view name = name_of_type<T>();
  return name.starts_with("std::shared_ptr<") || name.starts_with("std::bitset<") ||
         name.starts_with("std::chrono::year_month_day") || name.starts_with("__int128") ||
         name.starts_with("unsigned __int128");
}

/// Points in time of the clock whose points have a codec in more_codecs.hpp.
template <class T>
inline constexpr bool kIsTime = false;
template <class Duration>
inline constexpr bool kIsTime<std::chrono::time_point<std::chrono::system_clock, Duration>> = true;
template <class T>
inline constexpr bool kIsTimeInFractions = false;
template <class Duration>
  requires(!std::is_integral_v<typename Duration::rep>)
inline constexpr bool kIsTimeInFractions<std::chrono::time_point<std::chrono::system_clock, Duration>> = true;
template <class T>
inline constexpr bool kIsAtomic = false;
template <class T>
inline constexpr bool kIsAtomic<std::atomic<T>> = true;

/// The kind of a mistake; one assertion below has the text for it.
enum class Lack {
  nothing,
  part,
  pointer,
  view,
  array,
  long_double,
  list_of_base,
  list_by_value,
  list_by_reference,
  list_elsewhere,
  list_broken,
  tree,
  atomic,
  time_in_fractions,
  trees,
  conversion,
  other_header,
  standard,
  list
};

template <class T>
consteval Lack lack_of() {
  if (UnknownTree<T>) return Lack::tree;
  if (HasOwnCodec<T>) return Lack::nothing;
  if (std::is_pointer_v<T> || std::is_null_pointer_v<T>) return Lack::pointer;
  if (kIsView<T>) return Lack::view;
  if (std::is_array_v<T>) return Lack::array;
  if (std::is_same_v<T, long double>) return Lack::long_double;
  if (kIsAtomic<T>) return Lack::atomic;
  if (kIsTimeInFractions<T>) return Lack::time_in_fractions;
  if (lack_codecs(typename PartsOf<T>::Type{})) return Lack::part;
  if (ListsItsFields<T>) return Lack::part;
  if (lists::OfBase<T>) return Lack::list_of_base;
  if (broken_lists::HasOne<T>) return Lack::list_broken;
  if (lists::ByReference<T>) return lists_by_value::HasOne<T> ? Lack::list_by_value : Lack::list_by_reference;
  if (IsListedSomewhere<T>) return Lack::list_elsewhere;
  if (ConvertsItself<T>) return KnowsTrees<T> ? Lack::conversion : Lack::trees;
  if (has_codec_in_other_header<T>() || kIsTime<T>) return Lack::other_header;
  return is_of_the_standard_library<T>() ? Lack::standard : Lack::list;
}

/// Ends the compilation if `T`, a part of it or a member of it has no codec. A function, since a type may
/// contain itself.
template <class T>
void check_has_codec();

/// The same for one member of a list of fields: the compiler then prints the member's name.
template <auto kMember, class Type>
void check_member_has_codec() {
  check_has_codec<Type>();
}

template <class T, std::size_t... kIndices>
void check_members(std::index_sequence<kIndices...>) {
  (check_member_has_codec<FieldsOf<T>::template kPointer<kIndices>,
                          typename FieldsOf<T>::template Member<kIndices>>(),
   ...);
}

template <class... Parts>
void check_parts(TypeList<Parts...>) {
  (check_has_codec<Parts>(), ...);
}

/// Refuses types that no codec could keep.
template <class T>
void check_kind() {
  using enum Lack;
  static_assert(lack_of<T>() != pointer,
                "kvstore: a pointer cannot be stored, since its target is not there after a restart. Store "
                "the object itself, a std::string for text, or a std::unique_ptr");
  static_assert(lack_of<T>() != view,
                "kvstore: a view or reference cannot be stored, since it does not own its text or elements. "
                "Store a std::string or a std::vector");
  static_assert(lack_of<T>() != array,
                "kvstore: an array of this form cannot be stored. Store a std::string or a std::array");
  static_assert(lack_of<T>() != long_double, "kvstore: JSON has no long double; store a double");
  static_assert(lack_of<T>() != atomic,
                "kvstore: a std::atomic cannot be moved or copied, as entries are. Store the plain value: "
                "each operation of a store is atomic");
  static_assert(lack_of<T>() != time_in_fractions,
                "kvstore: a point in time that is counted in fractions has no codec. Store one that is "
                "counted in integers, such as std::chrono::sys_time<std::chrono::milliseconds>");
}

/// Refuses types that need a list, a conversion or a header.
template <class T>
void check_list() {
  using enum Lack;
  static_assert(lack_of<T>() != list_of_base,
                "kvstore: the list of fields of a base class does not hold for this class. Write "
                "kvstore_fields for this class, with the members of the base in it");
  static_assert(lack_of<T>() != list_by_value,
                "kvstore: kvstore_fields of this type takes it by value. Let it take a pointer: constexpr "
                "auto kvstore_fields(const T*)");
  static_assert(lack_of<T>() != list_by_reference,
                "kvstore: kvstore_fields of this type takes a reference. Let it take a pointer: constexpr "
                "auto kvstore_fields(const T*)");
  static_assert(lack_of<T>() != list_elsewhere,
                "kvstore: a list names fields of this type, but no kvstore_fields(const T*) is found for it. "
                "Move it into the namespace of the type, or make it a friend function in the type");
  static_assert(lack_of<T>() != tree,
                "kvstore: nlohmann::json as a value needs #include <nlohmann/json.hpp>");
  static_assert(lack_of<T>() != trees,
                "kvstore: the to_json of this type needs #include <nlohmann/json.hpp>");
  static_assert(lack_of<T>() != conversion,
                "kvstore: nlohmann/json cannot convert this type both ways. Give it to_json, from_json and a "
                "default constructor");
  static_assert(
      lack_of<T>() != other_header,
      "kvstore: the codec of this type stands in another header. #include <kvstore/more_codecs.hpp>");
  static_assert(lack_of<T>() != standard,
                "kvstore: this type of the standard library has no codec. Store a type that has one "
                "(kvstore/codec.hpp lists them), specialise kvstore::Codec, or, if nlohmann/json converts "
                "the type, #include <nlohmann/json.hpp>");
  static_assert(
      lack_of<T>() != list,
      "kvstore: this type has no list of its fields. Write constexpr auto kvstore_fields(const T*) in the "
      "type's namespace, which returns kvstore::fields(\"name\", &T::name, ...); or specialise "
      "kvstore::Codec; or give the type to_json and from_json and #include <nlohmann/json.hpp>");
}

template <class T>
void check_has_codec() {
  constexpr bool kIsPart = lack_of<T>() == Lack::part;  // one of its parts is to be blamed
  check_kind<T>();
  check_list<T>();
  if constexpr (std::is_base_of_v<FieldCodec<T>, Codec<T>> || (kIsPart && ListsItsFields<T>)) {
    check_members<T>(FieldsOf<T>::kIndices);
  } else if constexpr (kIsPart || is_of_the_standard_library<T>()) {
    check_parts(typename PartsOf<T>::Type{});
  }
}

template <class Hash, class Key>
void check_has_hash(const Hash& hash, const Key& key) {
  static_cast<void>(hash(key));
}

template <class KeyEqual, class Key>
consteval void check_has_equal() {
  static_assert(std::is_invocable_r_v<bool, const KeyEqual&, const Key&, const Key&>,
                "kvstore: this key has no operator==. Declare one, such as bool operator==(const Key&) const "
                "= default, or give the store a KeyEqual");
}

// The walk of `HasCodec`. A type that has its codec from the program is not looked into.
template <class T, class... Around>
consteval bool is_whole();
template <class T, class... Around>
inline constexpr bool kIsWhole = is_whole<T, Around...>();  // kept, as many types may share a member's type

template <class... Around, class... Parts>
consteval bool are_whole(TypeList<Parts...>) {
  return (kIsWhole<Parts, Around...> && ...);
}
template <class T, class... Around, std::size_t... kIndices>
consteval bool are_members_whole(std::index_sequence<kIndices...>) {
  return (kIsWhole<typename FieldsOf<T>::template Member<kIndices>, T, Around...> && ...);
}
template <class T, class... Around>
consteval bool is_whole() {
  constexpr bool kContainsItself = (std::is_same_v<T, Around> || ...);
  if constexpr (kContainsItself || !HasOwnCodec<T>) {
    return kContainsItself;
  } else if constexpr (std::is_base_of_v<FieldCodec<T>, Codec<T>>) {
    return are_members_whole<T, Around...>(FieldsOf<T>::kIndices);
  } else if constexpr (requires { typename Codec<T>::Parts; }) {
    return are_whole<T, Around...>(typename Codec<T>::Parts{});
  } else {
    return true;
  }
}
template <class T, class... Around>
consteval bool has_whole_codec() {
  return kIsWhole<T, Around...>;
}

/// Checks the types of a store, and returns its argument. The first thing that a constructor does, since
/// compilers report the first mistake first. The compiler checks as it instantiates; nothing is called, as a
/// type that contains itself would be checked for ever.
template <class Key, class Value, class Hash = void, class KeyEqual = void, class Storage>
[[nodiscard]] Storage&& with_codecs(Storage&& storage) noexcept {
  static_cast<void>(&check_has_codec<Key>);
  static_cast<void>(&check_has_codec<Value>);
  if constexpr (!std::is_void_v<Hash>) static_cast<void>(&check_has_hash<Hash, Key>);
  if constexpr (!std::is_void_v<KeyEqual>) check_has_equal<KeyEqual, Key>();
  return std::forward<Storage>(storage);
}

/// Stands in for the codec of a type that has none.
template <class T>
struct MissingCodec {
  using Missing = void;
  template <class U = T>
  static void encode(const U&, JsonWriter&) {
    check_has_codec<U>();
  }
  template <class Reader, class U = T>
  static U decode(Reader& in) {
    check_has_codec<U>();
    in.fail("expected a type that has a codec");
  }
};

}}}  // namespace kvstore::v1::detail
