// SPDX-License-Identifier: MIT
#pragma once

// Codecs that use an nlohmann tree: for the tree itself, and for every type that nlohmann/json converts.

#include <concepts>
#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include <nlohmann/json_fwd.hpp>

#include "kvstore/detail/base/thread_object.hpp"
#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/codec/misfit.hpp"
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

/// Runs a user's `from_json`. Any exception from it means that the text did not have the expected form.
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
[[nodiscard]] TreeOf<T> to_dom(const T& value) {
  try {
    return TreeOf<T>(value);
  } catch (const typename TreeOf<T>::exception& error) {
    throw ValueError{std::string{"value does not convert to JSON: "} + error.what()};
  }
}

/// Types that nlohmann/json converts both ways and that own their parts.
template <class T>
concept DomConvertible = std::is_class_v<T> && !kIsView<T> && KnowsTrees<T> &&
                         std::is_constructible_v<TreeOf<T>, const T&> && requires(const TreeOf<T>& dom) {
                           { dom.template get<T>() } -> std::same_as<T>;
                         };

/// A tree kept per thread and type, since the next value's tree mostly has the same parts.
template <class T>
class ScratchTree {
 public:
  ScratchTree() noexcept = default;
  ScratchTree(const ScratchTree&) = delete;
  ScratchTree& operator=(const ScratchTree&) = delete;
  ~ScratchTree() {
    if (keep_) tree_.give_back();
  }

  /// Reports that `bytes` of text were read into the tree: one huge value must not pin its size per thread.
  void was_read_from(std::size_t bytes) noexcept { keep_ = bytes <= std::size_t{64} << 10; }

  [[nodiscard]] TreeOf<T>& operator*() noexcept { return *tree_; }

 private:
  TakenOut<TreeOf<T>, ScratchTree> tree_;  // for a type that contains itself
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
    DomReader<TreeOf<T>> reader{in, true};  // a number that does not fit its member is found below
    reader.read(*scratch);
    scratch.was_read_from(in.position() - offset);
    const TreeOf<T>& dom = *scratch;
    T value = convert_from_dom(offset, [&dom] { return dom.template get<T>(); });
    if (reader.may_change()) check_misfits(offset, dom, to_dom(value));
    return value;
  }
};

}}}  // namespace kvstore::v1::detail

namespace kvstore { inline namespace v1 {

template <>
struct Codec<nlohmann::json> : detail::DomCodec<nlohmann::json> {};

template <>
struct Codec<nlohmann::ordered_json> : detail::DomCodec<nlohmann::ordered_json> {};

}}  // namespace kvstore::v1
