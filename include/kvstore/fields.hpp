// SPDX-License-Identifier: MIT
#pragma once

// Lists the fields of a type, so that values become JSON and come back without a tree in between. Cheap to
// include where types are declared: includes neither the stores nor nlohmann/json.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kvstore/detail/base/utf8_sequence.hpp"
#include "kvstore/detail/json/escape.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A field's name, escaped when the program is compiled.
template <std::size_t kLength>
class FieldName {
 public:
  /// `before` is the character before the name in an object: a bracket or comma.
  constexpr FieldName(const char (&name)[kLength + 1], char before) {
    for (std::size_t i = 0; i < kLength; ++i) plain_[i] = name[i];
    put(before);
    put('"');
    for (const char byte : plain()) put_escaped(byte);
    put('"');
    put(':');
  }

  [[nodiscard]] constexpr std::string_view plain() const noexcept { return {plain_.data(), kLength}; }
  /// From the bracket or comma before it to the colon after it.
  [[nodiscard]] constexpr std::string_view text() const noexcept { return {text_.data(), size_}; }

 private:
  constexpr void put(char byte) { text_[size_++] = byte; }
  constexpr void put_escaped(char byte) {
    const JsonEscape escape = is_ascii(byte) ? kJsonEscapes[static_cast<unsigned char>(byte)] : JsonEscape{};
    if (escape.size == 0) put(byte);
    for (std::size_t i = 0; i < escape.size; ++i) put(escape.text[i]);
  }

  std::array<char, kLength + 1> plain_{};
  std::array<char, 6 * kLength + 4> text_{};
  std::size_t size_ = 0;
};

template <std::size_t kLength, class Owner, class Member>
struct Field {
  using OwnerType = Owner;
  using MemberType = Member;
  FieldName<kLength> name;
  Member Owner::* pointer;
};

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-inline"
#pragma clang diagnostic ignored "-Wundefined-internal"  // of a type in an unnamed namespace
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-template-friend"
#endif
/// Remembers, for messages of the compiler, that some list names fields of `T`: `ListSeen<T>` defines the
/// function that `ListSought<T>` only declares.
template <class T>
struct ListSought {
  friend constexpr bool is_listed(ListSought<T>);
};
#ifdef __clang__
#pragma clang diagnostic pop
#else
#pragma GCC diagnostic pop
#endif
template <class T>
struct ListSeen {
  friend constexpr bool is_listed(ListSought<T>) { return true; }
};
template <class T>
concept IsListedSomewhere = requires { typename std::bool_constant<is_listed(ListSought<T>{})>; };

template <std::size_t kSize, class Owner, class Member>
constexpr auto make_field(const char (&name)[kSize], Member Owner::* pointer, char before) {
  static_assert(sizeof(ListSeen<Owner>) != 0);
  static_assert(!std::is_const_v<Member>, "kvstore::fields: a const member could not be read back");
  return Field<kSize - 1, Owner, Member>{{name, before}, pointer};
}

// The three ways to treat a member of an object that a list does not name.
struct RefusedMembers {};
struct DroppedMembers {};
template <class Owner, class Member>
struct KeptMembers {
  Member Owner::* pointer;
};

/// What `kvstore::fields` returns.
template <bool kMayLack, class Unknown, class... Each>
struct FieldList {
  static constexpr std::size_t kCount = sizeof...(Each);
  static constexpr bool kMayBeMissing = kMayLack;
  std::tuple<Each...> each;
  Unknown unknown;

  /// Members that the list does not name are skipped on reading, and lost when the value is saved again.
  [[nodiscard]] consteval auto drop_unknown() const {
    return FieldList<kMayLack, DroppedMembers, Each...>{each, {}};
  }
  /// Such members are kept in a `std::map<std::string, std::string>` of names and JSON texts, and written
  /// behind the others.
  template <class Owner, class Member>
  [[nodiscard]] consteval auto keep_unknown(Member Owner::* pointer) const {
    return FieldList<kMayLack, KeptMembers<Owner, Member>, Each...>{each, {pointer}};
  }
};

// Not constexpr: a call ends the compilation, and the function's name is part of the compiler's message.
inline void two_fields_have_the_same_name() {}
inline void the_name_of_a_field_is_not_valid_utf8() {}

template <std::size_t kCount>
constexpr void check_names(const std::array<std::string_view, kCount>& names) {
  for (std::size_t i = 0; i < kCount; ++i) {
    const char* const end = names[i].data() + names[i].size();
    if (find_invalid_utf8_plainly(names[i].data(), end) != end) the_name_of_a_field_is_not_valid_utf8();
    for (std::size_t k = 0; k < i; ++k) {
      if (names[i] == names[k]) two_fields_have_the_same_name();
    }
  }
}

template <bool kMayLack, class... Each>
constexpr FieldList<kMayLack, RefusedMembers, Each...> make_list(const Each&... field) {
  check_names(std::array<std::string_view, sizeof...(Each)>{field.name.plain()...});
  return {{field...}, {}};
}

/// Whether a pointer leads to a member that can be a field.
template <class Pointer>
consteval bool is_field() {
  static_assert(!std::is_member_function_pointer_v<Pointer>,
                "kvstore::fields: list data members, not functions");
  static_assert(
      std::is_member_pointer_v<Pointer>,
      "kvstore::fields: list members of each object by pointers such as &User::name; a static member "
      "belongs to no object");
  return std::is_member_object_pointer_v<Pointer>;
}

/// `given` is a tuple of a name, a pointer to a member, the next name, and so on.
template <bool kMayLack, class Given, std::size_t... kIndices>
constexpr auto make_list_of(const Given& given, std::index_sequence<kIndices...>) {
  if constexpr ((is_field<std::remove_cvref_t<std::tuple_element_t<2 * kIndices + 1, Given>>>() && ...)) {
    return make_list<kMayLack>(make_field(std::get<2 * kIndices>(given), std::get<2 * kIndices + 1>(given),
                                          kIndices == 0 ? '{' : ',')...);
  } else {
    return make_list<kMayLack>();  // which saves further messages
  }
}

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// The fields of a type with their names in JSON: a name, a pointer to the member, the next name, and so on.
/// Return the list from a function next to the type (or from a friend inside the type, if the members are
/// private):
///
/// ```cpp
/// struct User {
///   std::string name;
///   std::optional<int> born;
/// };
/// constexpr auto kvstore_fields(const User*) {  // the pointer is null: only its type counts
///   return kvstore::fields("name", &User::name, "born", &User::born);
/// }
/// ```
///
/// A value is then a JSON object, encoded and decoded without a tree in between. The type needs a default
/// constructor. Each member needs a `Codec` (another type with fields, a container, an optional, ...), and
/// may belong to a base class. A list does not apply to derived classes: each needs its own. If the type has
/// `to_json` and `from_json` as well, the list takes precedence.
///
/// Reading: members come in any order, and a missing one is refused, as with
/// `NLOHMANN_DEFINE_TYPE_INTRUSIVE`. An unknown one is refused too, since it would be lost when the value is
/// saved again: a person's note, or a field whose name has changed. Append `.drop_unknown()` to the list to
/// skip such members, or `.keep_unknown(&User::others)` to keep them in a
/// `std::map<std::string, std::string>` of names and JSON texts, written behind the others. A name that
/// occurs twice and a number that does not fit are refused as well. Names must be valid UTF-8 and differ from
/// each other, otherwise the code does not compile.
///
/// For a type in someone else's namespace, specialise its codec instead:
///
/// ```cpp
/// template <>
/// struct kvstore::Codec<geo::Point> : kvstore::FieldCodec<geo::Point> {
///   static constexpr auto kFields = kvstore::fields("x", &geo::Point::x, "y", &geo::Point::y);
/// };
/// ```
template <class... NamesAndMembers>
[[nodiscard]] consteval auto fields(const NamesAndMembers&... given) {
  static_assert(sizeof...(given) % 2 == 0, "kvstore::fields: give each name its member");
  return detail::make_list_of<false>(std::tie(given...), std::make_index_sequence<sizeof...(given) / 2>{});
}

/// The same, but a member missing in the text keeps the value of the default constructor, as with
/// `NLOHMANN_DEFINE_TYPE_INTRUSIVE_WITH_DEFAULT`.
template <class... NamesAndMembers>
[[nodiscard]] consteval auto fields_with_default(const NamesAndMembers&... given) {
  static_assert(sizeof...(given) % 2 == 0, "kvstore::fields_with_default: give each name its member");
  return detail::make_list_of<true>(std::tie(given...), std::make_index_sequence<sizeof...(given) / 2>{});
}

}}  // namespace kvstore::v1
