// SPDX-License-Identifier: MIT
#pragma once

// Writes JSON text. Our own, because a snapshot encodes millions of values and `nlohmann::json(text).dump()`
// takes 20 to 35 times as long for a string of 100 bytes: it builds a tree first, and passes every byte
// through a UTF-8 state machine. Here 16 bytes are copied and checked in one step, straight from the caller's
// value.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "kvstore/detail/json/escape.hpp"
#include "kvstore/detail/json/number.hpp"
#include "kvstore/detail/json/shortest_decimal.hpp"
#include "kvstore/detail/text/byte_block.hpp"
#include "kvstore/detail/text/utf8.hpp"
#include "kvstore/json_text.hpp"

namespace kvstore { inline namespace v1 {

/// Appends JSON text to a buffer that it owns and reuses.
///
/// The writer writes values, and leaves brackets, commas and colons to the caller (`raw`). If a call throws,
/// part of a value may have been written: remember `size()` beforehand and `truncate` to it.
///
/// *Thread safety*: none; one thread at a time.
///
/// ```cpp
/// kvstore::JsonWriter out;
/// const kvstore::NestingGuard depth{out};
/// out.raw('['), out.integer(1), out.raw(','), out.string("two"), out.raw(']');
/// assert(out.text() == R"([1,"two"])");
/// ```
class JsonWriter {
 public:
  /// An empty writer, without a buffer.
  JsonWriter() noexcept = default;
  /// Takes over the text of `other`, and its buffer.
  JsonWriter(JsonWriter&& other) noexcept { swap(other); }
  /// Takes over the text of `other`, and its buffer.
  JsonWriter& operator=(JsonWriter&& other) noexcept {
    JsonWriter{std::move(other)}.swap(*this);
    return *this;
  }

  /// Writes `null`.
  void null() { raw("null"); }
  /// Writes `true` or `false`.
  void boolean(bool value) { raw(value ? std::string_view{"true"} : std::string_view{"false"}); }

  /// Writes an integer of any width; character types as their code.
  template <JsonInteger T>
  void integer(T value);

  /// Writes the shortest text that reads back as the same number and cannot be mistaken for an integer
  /// (`1.0`). @throws ValueError for NaN and infinity, which JSON does not have.
  template <JsonFloat T>
  void number(T value);

  /// Writes a string in quotes, and escapes only the characters that JSON requires to be escaped. @throws
  /// ValueError if the string is not valid UTF-8.
  void string(std::string_view text);

  /// Like `string`, without the quotes.
  void append_escaped(std::string_view text);

  /// Appends bytes unchanged; they must not be a view of this writer's own text.
  void raw(std::string_view bytes);
  /// Appends one byte unchanged.
  void raw(char byte) {
    *ensure(1) = byte;
    ++size_;
  }

  /// Enters an array or object; a `NestingGuard` does so and leaves it again.
  /// @throws ValueError deeper than `kMaxDepth`.
  void enter() {
    if (depth_ == kMaxDepth) detail::throw_too_deep();
    ++depth_;
  }
  /// Leaves the array or object.
  void leave() noexcept { --depth_; }

  /// The text written so far; valid until the next call that changes it.
  [[nodiscard]] std::string_view text() const noexcept { return {buffer_.get(), size_}; }
  /// The number of bytes written.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The size of the buffer in bytes.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  /// Forgets the text and keeps the buffer.
  void clear() noexcept { size_ = 0; }
  /// Forgets all but the first `size` bytes, where `size` is at most `size()`.
  void truncate(std::size_t size) noexcept { size_ = size; }
  /// Shrinks the buffer to `capacity` bytes, or to the size of the text if that is larger, as after a huge
  /// value. If that fails, keeps the buffer.
  void shrink(std::size_t capacity) noexcept;
  /// Makes room for `capacity` bytes in all.
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }

 private:
  struct Free {
    void operator()(char* buffer) const noexcept { std::free(buffer); }
  };

  /// Makes room for `bytes` more and returns the place to write them.
  char* ensure(std::size_t bytes) {
    if (capacity_ - size_ < bytes) [[unlikely]] { grow(std::max(size_ + bytes, capacity_ * 2)); }
    return buffer_.get() + size_;
  }
  void grow(std::size_t capacity);
  char* escape_into(char* out, std::string_view text, std::size_t more);
  char* escape_into(char* out, char byte, std::size_t more);
  void swap(JsonWriter& other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(depth_, other.depth_);
  }

  std::unique_ptr<char[], Free> buffer_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  int depth_ = 0;
};

inline void JsonWriter::grow(std::size_t capacity) {
  capacity = std::max<std::size_t>(capacity, 256);
  void* const grown = std::realloc(buffer_.get(), capacity);  // remaps a large buffer instead of copying
  if (grown == nullptr) throw std::bad_alloc{};
  static_cast<void>(buffer_.release());
  buffer_.reset(static_cast<char*>(grown));
  capacity_ = capacity;
}

inline void JsonWriter::shrink(std::size_t capacity) noexcept {
  capacity = std::max(capacity, std::max<std::size_t>(size_, 1));
  if (capacity >= capacity_) return;
  void* const shrunk = std::realloc(buffer_.get(), capacity);
  if (shrunk == nullptr) return;
  static_cast<void>(buffer_.release());
  buffer_.reset(static_cast<char*>(shrunk));
  capacity_ = capacity;
}

inline void JsonWriter::raw(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(ensure(bytes.size()), bytes.data(), bytes.size());
  size_ += bytes.size();
}

template <JsonInteger T>
void JsonWriter::integer(T value) {
  constexpr std::size_t kMaxBytes = 20;
  char* const out = ensure(kMaxBytes);
  const auto stop = std::to_chars(out, out + kMaxBytes, static_cast<detail::Widest<T>>(value)).ptr;
  size_ += static_cast<std::size_t>(stop - out);
}

template <JsonFloat T>
void JsonWriter::number(T value) {
  detail::check_finite(value);
  constexpr std::size_t kMaxBytes = std::max<std::size_t>(32, detail::kRoomForShortest);
  char* const out = ensure(kMaxBytes);
  constexpr T kWholeFrom = T{1} / std::numeric_limits<T>::epsilon();  // numbers this large have no fraction
  const bool has_fraction = !detail::is_subnormal(value) && std::abs(value) < kWholeFrom &&
                            value != static_cast<T>(static_cast<std::int64_t>(value));
  const char* stop = nullptr;
  if constexpr (std::same_as<T, double>) {
    if (has_fraction) stop = detail::write_shortest(out, value);
  }
  if (detail::is_subnormal(value)) [[unlikely]] {
    const detail::UsualArithmetic usual;
    stop = std::to_chars(out, out + kMaxBytes, value).ptr;
  }
  if (stop == nullptr) stop = std::to_chars(out, out + kMaxBytes, value).ptr;
  const auto length = static_cast<std::size_t>(stop - out);
  size_ += length;
  if (has_fraction) return;  // so there is a point or an exponent
  const std::string_view written{out, length};
  if (written.find_first_of(".e") == std::string_view::npos) raw(".0");
}

inline void JsonWriter::string(std::string_view text) {
  char* const quote = ensure(text.size() + 2 + detail::kBlockSize);
  *quote = '"';
  char* const out = escape_into(quote + 1, text, 1);
  *out = '"';
  size_ = static_cast<std::size_t>(out + 1 - buffer_.get());
}

inline void JsonWriter::append_escaped(std::string_view text) {
  const char* const out = escape_into(ensure(text.size() + detail::kBlockSize), text, 0);
  size_ = static_cast<std::size_t>(out - buffer_.get());
}

/// Writes to `out`, which has room for the text, a block, and `more` bytes. @returns the end of the text,
/// with as much room behind it.
///
/// Copies 16 bytes at a time without examining them first. Bytes from the first one on that JSON requires to
/// be escaped are then overwritten.
inline char* JsonWriter::escape_into(char* out, std::string_view text, std::size_t more) {
  const char* in = text.data();
  const char* const end = in + text.size();
  bool beyond_ascii = false;
  while (true) {
    for (; end - in >= detail::kBlockSize; in += detail::kBlockSize, out += detail::kBlockSize) {
      const detail::Block block = detail::load_block(in);
      detail::store_block(out, block);
      if (detail::special_bits(block) != 0) break;
    }
    const detail::TextStep step = detail::text_step(in, static_cast<std::size_t>(end - in));
    detail::store_block(out, step.block);
    beyond_ascii |= step.beyond_ascii;
    in += step.plain;
    out += step.plain;
    if (step.ends_at_escape) {
      const char byte = *in++;
      out = escape_into(out, byte, static_cast<std::size_t>(end - in) + more);
    } else if (in == end) {
      break;
    }
  }
  if (beyond_ascii) detail::check_utf8_beyond_ascii(text);
  return out;
}

inline char* JsonWriter::escape_into(char* out, char byte, std::size_t more) {
  const detail::JsonEscape& escape = detail::kJsonEscapes[static_cast<unsigned char>(byte)];
  std::memcpy(out, escape.text, sizeof escape.text);
  size_ = static_cast<std::size_t>(out - buffer_.get()) + escape.size;
  return ensure(more + detail::kBlockSize);
}

}}  // namespace kvstore::v1
