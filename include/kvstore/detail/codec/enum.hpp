// SPDX-License-Identifier: MIT
#pragma once

// Codecs of enums: by number, or through an nlohmann tree if their author defined one.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>

#include <nlohmann/json_fwd.hpp>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/misfit.hpp"
#include "kvstore/detail/codec/tree.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/tree.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class E>
using Underlying = std::conditional_t<std::same_as<std::underlying_type_t<E>, bool>, unsigned char,
                                      std::underlying_type_t<E>>;

template <class E>
inline constexpr bool kIsOverBool = std::same_as<std::underlying_type_t<E>, bool>;

/// The enumerator with this number; none if the underlying type cannot hold the number.
template <class E, class Number>
[[nodiscard]] std::optional<E> numbered_enumerator(Number number) {
  const auto narrowed = narrow<Underlying<E>>(number);
  if (!narrowed || (kIsOverBool<E> && *narrowed > 1)) return std::nullopt;
  return static_cast<E>(*narrowed);
}

/// Enums without another form defined by their author.
template <class E>
struct NumberedEnumCodec {
  static constexpr bool kFlat = true;
  static void check(const E&) noexcept {}
  static void encode(const E& value, JsonWriter& out) { out.integer(static_cast<Underlying<E>>(value)); }

  static E decode(JsonReader& in) {
    const char first = in.peek();
    const std::size_t offset = in.position();
    if (first == '-' || (first >= '0' && first <= '9')) {
      const auto [text, is_integer] = in.number_text();
      const auto number = is_integer ? to_integer<Widest<Underlying<E>>>(text) : std::nullopt;
      if (const auto value = number ? numbered_enumerator<E>(*number) : std::nullopt) return *value;
    }
    JsonReader::fail_at(offset, "expected the number of an enumerator");
  }
};

// Comparisons of trees. They are templates, so that overload resolution among the many comparisons in sight
// happens only where they are used. NaN is neither equal to itself nor different.
template <class Json>
[[nodiscard]] bool are_equal(const Json& a, const Json& b) {
  return a == b;
}
template <class Json>
[[nodiscard]] bool are_different(const Json& a, const Json& b) {
  return a != b;
}

/// An enumerator as nlohmann/json converts it: its number, unless its author defined otherwise.
template <class E>
[[nodiscard]] TreeOf<E> enumerator_to_dom(E value) {
  TreeOf<E> number(static_cast<Widest<Underlying<E>>>(value));
  if constexpr (std::is_constructible_v<TreeOf<E>, E>) {
    TreeOf<E> dom = to_dom(value);
    if (are_different(dom, number)) return dom;
  }
  return number;  // rather than `dom`, which holds large unsigned numbers as negative ones
}

template <class E>
[[nodiscard]] std::optional<E> numbered_enumerator_of(const TreeOf<E>& dom) {
  if (!dom.is_number_integer()) return std::nullopt;
  return dom.is_number_unsigned() ? numbered_enumerator<E>(dom.template get<std::uint64_t>())
                                  : numbered_enumerator<E>(dom.template get<std::int64_t>());
}

/// Enums that nlohmann/json reads. Its own conversion does not compile for enums over bool, so these must not
/// even be tested for it.
template <class E>
concept ReadableEnum =
    (!kIsOverBool<E> || ConvertsItself<E>) && requires(const TreeOf<E>& dom) { dom.template get<E>(); };

/// Whether nlohmann's conversion would cast a fraction to an integer that cannot hold it, which is undefined.
template <class E>
[[nodiscard]] bool is_out_of_range(const TreeOf<E>& dom) {
  if (!dom.is_number_float()) return false;
  using Limits = std::numeric_limits<Underlying<E>>;
  const auto number = dom.template get<double>();
  return !(number > static_cast<double>(Limits::min()) - 1 && number < static_cast<double>(Limits::max()));
}

/// The enumerator that a tree stands for. NLOHMANN_JSON_SERIALIZE_ENUM maps unknown values to the first of
/// its list, so only an enumerator that converts back to the same tree counts.
template <class E>
[[nodiscard]] std::optional<E> enumerator_from_dom(const TreeOf<E>& dom) {
  const auto stands_for = [&dom](E value) {
    const TreeOf<E> back = enumerator_to_dom(value);
    return are_equal(back, dom) && !is_misfit(dom, back);
  };
  if constexpr (ReadableEnum<E>) {
    // The author's own reading judges a number: their `to_json` may index an array by it.
    if (is_out_of_range<E>(dom)) return std::nullopt;
    try {
      const auto value = dom.template get<E>();
      if (stands_for(value)) return value;
    } catch (const typename TreeOf<E>::exception&) { return std::nullopt; }
    return std::nullopt;
  } else {
    const auto numbered = numbered_enumerator_of<E>(dom);
    return numbered && stands_for(*numbered) ? numbered : std::nullopt;
  }
}

/// Like `enumerator_to_dom`, but only for enumerators that can be read back.
template <class E>
[[nodiscard]] TreeOf<E> checked_enumerator_to_dom(E value) {
  TreeOf<E> dom = enumerator_to_dom(value);
  if (numbered_enumerator_of<E>(dom) == value || enumerator_from_dom<E>(dom) == value) return dom;
  throw ValueError{"enumerator " + std::to_string(static_cast<Widest<Underlying<E>>>(value)) +
                   " would not be read back; list it in NLOHMANN_JSON_SERIALIZE_ENUM"};
}

/// Enums as nlohmann/json converts them.
template <class E>
struct ConvertedEnumCodec {
  static_assert(KnowsTrees<E>, "kvstore: an enum with a to_json needs #include <nlohmann/json.hpp>");
  static constexpr bool kFlat = true;
  static void check(const E& value) { static_cast<void>(checked_enumerator_to_dom(value)); }
  static void encode(const E& value, JsonWriter& out) { write_dom(checked_enumerator_to_dom(value), out); }
  static E decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    const auto value = enumerator_from_dom<E>(read_dom<TreeOf<E>>(in));
    if (!value) JsonReader::fail_at(offset, "expected one of the enumerators");
    return *value;
  }
};

/// Enums whose author defined how they convert. json_fwd.hpp only declares `adl_serializer`: if nlohmann is
/// not included, a complete one is the author's.
template <class E>
concept ConvertedEnum = ConvertsItself<E> || requires { sizeof(nlohmann::adl_serializer<E>); };

/// If trees are known, nlohmann itself decides: a `to_json` has more forms than can be detected here, and
/// without one nlohmann yields the number too.
template <class E>
using EnumCodec =
    std::conditional_t<KnowsTrees<E> || ConvertedEnum<E>, ConvertedEnumCodec<E>, NumberedEnumCodec<E>>;

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// Enums: numbers, or the form that NLOHMANN_JSON_SERIALIZE_ENUM or a `to_json` defines.
template <class E>
  requires std::is_enum_v<E>
struct Codec<E> : detail::EnumCodec<E> {};

}}  // namespace kvstore::v1
