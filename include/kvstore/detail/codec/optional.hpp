// SPDX-License-Identifier: MIT
#pragma once

// Codecs of optional values and alternatives: optional, unique_ptr, variant.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// `Holder` is `std::optional<T>` or a smart pointer: null, or the value.
template <class Holder, class T>
struct HolderCodec {
  using Parts = TypeList<T>;
  static constexpr bool kFlat = true;

  static void check(const Holder& value)
    requires(FlatCodec<T> && json_kind<T>() != JsonKind::any)
  {
    if (value) Codec<T>::check(*value);
  }
  static void encode(const Holder& value, JsonWriter& out) {
    if (!value) return out.null();
    const std::size_t start = out.size();
    Codec<T>::encode(*value, out);
    if constexpr (json_kind<T>() == JsonKind::any) {
      if (out.text().substr(start) == "null") throw ValueError{kReadsAsEmpty};
    }
  }
  static Holder decode(JsonReader& in) {
    if (in.peek() == 'n') return in.null(), Holder{};
    return make(Codec<T>::decode(in));
  }

 private:
  static constexpr const char* kReadsAsEmpty =
      "a present value that is written as null would be read back as an empty one";

  static Holder make(T&& value) {
    if constexpr (requires { typename Holder::element_type; }) {
      return std::make_unique<T>(std::move(value));  // converts to a shared_ptr as well
    } else {
      return Holder{std::move(value)};
    }
  }
};

template <class... Choices>
struct VariantCodec {
  using Variant = std::variant<Choices...>;
  using Parts = TypeList<Choices...>;
  static constexpr auto kKind = JsonKind::array;
  static constexpr bool kFlat = true;

  static void check(const Variant& value)
    requires(FlatCodec<Choices> && ...)
  {
    check_has_value(value);
    std::visit([]<class T>(const T& choice) { Codec<T>::check(choice); }, value);
  }
  static void encode(const Variant& value, JsonWriter& out) {
    check_has_value(value);
    const NestingGuard depth{out};
    out.raw('[');
    out.integer(value.index());
    out.raw(',');
    std::visit([&out]<class T>(const T& choice) { Codec<T>::encode(choice, out); }, value);
    out.raw(']');
  }
  static Variant decode(JsonReader& in) {
    in.expect('[');
    const NestingGuard depth{in};
    const auto index = in.integer<std::size_t>();
    if (index >= sizeof...(Choices)) in.fail("expected the index of one of the variant's types");
    in.expect(',');
    Variant out = decode_choice(in, index, std::index_sequence_for<Choices...>{});
    in.expect(']');
    return out;
  }

 private:
  template <std::size_t... kIndices>
  static Variant decode_choice(JsonReader& in, std::size_t index, std::index_sequence<kIndices...>) {
    using Decode = Variant (*)(JsonReader&);
    static constexpr std::array<Decode, sizeof...(Choices)> kDecoders{[](JsonReader& text) {
      return Variant{std::in_place_index<kIndices>, Codec<Choices>::decode(text)};
    }...};
    return kDecoders[index](in);
  }
  static void check_has_value(const Variant& value) {
    if (value.valueless_by_exception()) throw ValueError{"variant holds no value"};
  }
};

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

/// Null or the value. A present value that is itself written as null is refused.
template <class T>
struct Codec<std::optional<T>>
    : detail::CodecIf<detail::HasOwnCodec<T>, detail::HolderCodec<std::optional<T>, T>, std::optional<T>> {};

template <class T>
struct Codec<std::unique_ptr<T>>
    : detail::CodecIf<detail::HasOwnCodec<T>, detail::HolderCodec<std::unique_ptr<T>, T>,
                      std::unique_ptr<T>> {};

/// `[index, value]`.
template <class... Choices>
struct Codec<std::variant<Choices...>>
    : detail::CodecIf<(detail::HasOwnCodec<Choices> && ...), detail::VariantCodec<Choices...>,
                      std::variant<Choices...>> {};

}}  // namespace kvstore::v1
