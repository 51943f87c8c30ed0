// SPDX-License-Identifier: MIT
#pragma once

// The function that brings stored values to the program's schema version.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nlohmann/json_fwd.hpp>

#include "kvstore/detail/codec/base.hpp"
#include "kvstore/detail/json/tree.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 {

/// Holds a function `(std::uint32_t from, std::string_view key, nlohmann::json& value)`, or none, as a
/// `std::function` would. Only a program that has such a function needs `#include <nlohmann/json.hpp>`.
class SchemaUpgrade {
 public:
  /// None.
  SchemaUpgrade() noexcept = default;
  /// None.
  SchemaUpgrade(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): as of a std::function

  /// Keeps a copy of `fn`, which brings the JSON of a value from version `from` to the newest, in place.
  template <class Fn>
    requires(!std::same_as<std::remove_cvref_t<Fn>, SchemaUpgrade>) &&
            std::invocable<Fn&, std::uint32_t, std::string_view, nlohmann::json&>
  SchemaUpgrade(Fn fn) {  // NOLINT(google-explicit-constructor): written in the place of `Options::upgrade`
    static_assert(detail::KnowsTrees<Fn>, "kvstore: a schema upgrade needs #include <nlohmann/json.hpp>");
    if constexpr (requires { fn == nullptr; }) {
      if (fn == nullptr) return;
    }
    apply_ = [fn = std::move(fn)](std::uint32_t from, std::string_view key, JsonReader& in,
                                  JsonWriter& out) mutable {
      auto value = detail::read_dom<detail::TreeOf<Fn>>(in);
      in.finish();
      fn(from, key, value);
      detail::write_dom(value, out);
    };
  }

  /// Whether there is a function.
  explicit operator bool() const noexcept { return static_cast<bool>(apply_); }

  /// Reads a value of version `from`, and writes it as the function left it.
  /// @throws ParseError; ValueError for a value that could not be read back; any exception of the function
  void operator()(std::uint32_t from, std::string_view key, JsonReader& in, JsonWriter& out) const {
    apply_(from, key, in, out);
  }

 private:
  std::function<void(std::uint32_t, std::string_view, JsonReader&, JsonWriter&)> apply_;
};

}}  // namespace kvstore::v1
