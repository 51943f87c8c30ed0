// SPDX-License-Identifier: MIT
#pragma once

// Codecs by way of an nlohmann tree: the tree itself, enums, and every type that nlohmann/json converts.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "kvstore/detail/base/thread_object.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/misfit.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/tree.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Json>
struct DomCodec {
  static void check(const Json& value) { check_dom(value); }
  static void encode(const Json& value, JsonWriter& out) { write_dom(value, out); }
  static Json decode(JsonReader& in) { return read_dom<Json>(in); }
};

/// Runs a user's `from_json`; whatever it throws says that the text is not what was expected.
template <class Convert>
auto convert_from_dom(std::size_t offset, Convert&& convert) {
  try {
    return convert();
  } catch (const Error&) { throw; } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw ParseError{offset, std::string{"expected a value that converts: "} + error.what()};
  }
}

/// Runs a user's `to_json`.
template <class T>
[[nodiscard]] nlohmann::json to_dom(const T& value) {
  try {
    return nlohmann::json(value);
  } catch (const nlohmann::json::exception& error) {
    throw ValueError{std::string{"value does not convert to JSON: "} + error.what()};
  }
}

/// Types that nlohmann/json converts both ways and that own what they are made of.
template <class T>
concept DomConvertible =
    std::is_class_v<T> && !std::same_as<T, std::string_view> &&
    std::is_constructible_v<nlohmann::json, const T&> && requires(const nlohmann::json& dom) {
      { dom.template get<T>() } -> std::same_as<T>;
    };

/// A tree kept per thread and type, since the next value's has mostly the same parts.
template <class T>
class ScratchTree {
 public:
  ScratchTree() noexcept = default;
  ScratchTree(const ScratchTree&) = delete;
  ScratchTree& operator=(const ScratchTree&) = delete;
  ~ScratchTree() {
    if (keep_) tree_.give_back();
  }

  /// `bytes` of text were read into it: one huge value must not pin its size per thread.
  void was_read_from(std::size_t bytes) noexcept { keep_ = bytes <= std::size_t{64} << 10; }

  [[nodiscard]] nlohmann::json& operator*() noexcept { return *tree_; }

 private:
  TakenOut<nlohmann::json, ScratchTree> tree_;  // for a type that contains itself
  bool keep_ = false;
};

template <class T>
struct ConvertedCodec {
  static void check(const T& value) { check_dom(to_dom(value)); }
  static void encode(const T& value, JsonWriter& out) { write_dom(to_dom(value), out); }

  static T decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    ScratchTree<T> scratch;
    DomReader<nlohmann::json> reader{in};
    reader.read(*scratch);
    scratch.was_read_from(in.position() - offset);
    const nlohmann::json& dom = *scratch;
    T value = convert_from_dom(offset, [&dom] { return dom.template get<T>(); });
    if (reader.may_change()) refuse_misfits(offset, dom, to_dom(value));
    return value;
  }
};

template <class E>
using Underlying = std::conditional_t<std::same_as<std::underlying_type_t<E>, bool>, unsigned char,
                                      std::underlying_type_t<E>>;

// Comparisons of trees. Templates, so that the compiler asks which of the many comparisons in sight is meant
// only where they are used. NaN is neither equal to itself nor different.
template <class Json>
[[nodiscard]] bool are_equal(const Json& a, const Json& b) {
  return a == b;
}
template <class Json>
[[nodiscard]] bool are_different(const Json& a, const Json& b) {
  return a != b;
}

/// What nlohmann/json makes of an enumerator: its number, unless the user says otherwise.
template <class E>
[[nodiscard]] nlohmann::json enumerator_to_dom(E value) {
  nlohmann::json number(static_cast<Widest<Underlying<E>>>(value));
  if constexpr (std::is_constructible_v<nlohmann::json, E>) {
    nlohmann::json dom = to_dom(value);
    if (are_different(dom, number)) return dom;
  }
  return number;  // rather than `dom`, which holds large unsigned numbers as negative ones
}

/// The enumerator that has this number; none if the underlying type does not have it.
template <class E>
[[nodiscard]] std::optional<E> numbered_enumerator(const nlohmann::json& dom) {
  if (!dom.is_number_integer()) return std::nullopt;
  const auto number = dom.is_number_unsigned() ? narrow<Underlying<E>>(dom.get<std::uint64_t>())
                                               : narrow<Underlying<E>>(dom.get<std::int64_t>());
  if (!number || (std::same_as<std::underlying_type_t<E>, bool> && *number > 1)) return std::nullopt;
  return static_cast<E>(*number);
}

template <class E>
inline constexpr bool kIsOverBool = std::is_same_v<std::underlying_type_t<E>, bool>;

/// Enums that nlohmann/json reads. Its own conversion does not compile for enums over bool, so it must not
/// even be asked for.
template <class E>
concept ReadableEnum =
    (!kIsOverBool<E> || ConvertsItself<E>) && requires(const nlohmann::json& dom) { dom.template get<E>(); };

/// The enumerator that a tree stands for. NLOHMANN_JSON_SERIALIZE_ENUM maps whatever it does not know to the
/// first of its list, so only an enumerator that converts back to the same tree counts.
template <class E>
[[nodiscard]] std::optional<E> enumerator_from_dom(const nlohmann::json& dom) {
  const auto stands_for = [&dom](E value) {
    const nlohmann::json back = enumerator_to_dom(value);
    return are_equal(back, dom) && !is_misfit(dom, back);
  };
  const auto numbered = numbered_enumerator<E>(dom);
  if (numbered && stands_for(*numbered)) return numbered;
  if constexpr (ReadableEnum<E>) {
    try {
      const auto value = dom.template get<E>();
      if (stands_for(value)) return value;
    } catch (const nlohmann::json::exception&) { return std::nullopt; }
  }
  return std::nullopt;
}

/// Like `enumerator_to_dom`, for enumerators that can be read back only.
template <class E>
[[nodiscard]] nlohmann::json checked_enumerator_to_dom(E value) {
  nlohmann::json dom = enumerator_to_dom(value);
  if (numbered_enumerator<E>(dom) == value || enumerator_from_dom<E>(dom) == value) return dom;
  throw ValueError{"enumerator " + std::to_string(static_cast<Widest<Underlying<E>>>(value)) +
                   " would not be read back; list it in NLOHMANN_JSON_SERIALIZE_ENUM"};
}

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

template <>
struct Codec<nlohmann::json> : detail::DomCodec<nlohmann::json> {};

template <>
struct Codec<nlohmann::ordered_json> : detail::DomCodec<nlohmann::ordered_json> {};

/// Enums as nlohmann/json converts them: numbers, or whatever NLOHMANN_JSON_SERIALIZE_ENUM says.
template <class E>
  requires std::is_enum_v<E>
struct Codec<E> {
  static constexpr bool kFlat = true;
  static void check(const E& value) { static_cast<void>(detail::checked_enumerator_to_dom(value)); }
  static void encode(const E& value, JsonWriter& out) {
    detail::write_dom(detail::checked_enumerator_to_dom(value), out);
  }
  static E decode(JsonReader& in) {
    in.skip_space();
    const std::size_t offset = in.position();
    const auto value = detail::enumerator_from_dom<E>(detail::read_dom<nlohmann::json>(in));
    if (!value) JsonReader::fail_at(offset, "expected one of the enumerators");
    return *value;
  }
};

}}  // namespace kvstore::v1
