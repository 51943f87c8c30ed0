// SPDX-License-Identifier: MIT
#pragma once

// Values to JSON text and back, by means of their codec.

#include <string>
#include <string_view>

#include "kvstore/codec.hpp"

namespace codec_text {

template <class T>
std::string encode(const T& value) {
  kvstore::JsonWriter out;
  kvstore::Codec<T>::encode(value, out);
  return std::string{out.text()};
}

template <class T>
T decode(std::string_view text) {
  kvstore::JsonReader in{text};
  T value = kvstore::Codec<T>::decode(in);
  in.finish();
  return value;
}

/// Whether both the check before writing and the write itself refuse a value.
template <class T>
bool refuses(const T& value) {
  const auto throws = [](auto&& act) {
    try {
      act();
      return false;
    } catch (const kvstore::ValueError&) { return true; }
  };
  const bool by_check = throws([&] { kvstore::detail::check_value(value); });
  const bool by_write = throws([&] { static_cast<void>(encode(value)); });
  return by_check && by_write;
}

}  // namespace codec_text
