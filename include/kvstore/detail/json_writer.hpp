// SPDX-License-Identifier: MIT
#pragma once

// Writes JSON text. Our own, because a snapshot encodes millions of values and `nlohmann::json(text).dump()`
// takes 20 to 35 times as long for a string of 100 bytes: it runs every byte through a UTF-8 state machine,
// and needs a tree first. Here 16 bytes are copied and checked in one step, straight from the caller's value.

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/detail/byte_block.hpp"
#include "kvstore/detail/json_depth.hpp"
#include "kvstore/detail/json_number.hpp"
#include "kvstore/detail/utf8.hpp"
#include "kvstore/error.hpp"

namespace kvstore::inline v0 {

/// Appends JSON text to a buffer that it owns and reuses.
///
/// It writes values, and leaves brackets, commas and colons to the caller (`raw`). When a call throws, part
/// of a value may have been written: remember `size()` beforehand and `truncate` to it.
///
/// *Thread safety*: none; one thread at a time.
///
/// ```cpp
/// kvstore::JsonWriter out;
/// const kvstore::Nested depth{out};
/// out.raw('['), out.integer(1), out.raw(','), out.string("two"), out.raw(']');
/// assert(out.text() == R"([1,"two"])");
/// ```
class JsonWriter {
 public:
  JsonWriter() noexcept = default;
  JsonWriter(JsonWriter&& other) noexcept { swap(other); }
  JsonWriter& operator=(JsonWriter&& other) noexcept {
    JsonWriter{std::move(other)}.swap(*this);
    return *this;
  }

  void null() { raw("null"); }
  void boolean(bool value) { raw(value ? std::string_view{"true"} : std::string_view{"false"}); }

  /// Writes an integer of any width; character types as their code.
  template <JsonInteger T>
  void integer(T value);

  /// Writes the shortest text that reads back as the same number, recognisable as no integer (`1.0`).
  /// @throws ValueError for NaN and infinity, which JSON does not have.
  template <JsonFloat T>
  void number(T value);

  /// Writes a string in quotes, escaping what JSON wants escaped and nothing else.
  /// @throws ValueError if it is not valid UTF-8.
  void string(std::string_view text);

  /// Like `string`, without the quotes.
  void append_escaped(std::string_view text);

  /// Appends bytes as they are; they must not be a view of this writer's own text.
  void raw(std::string_view bytes);
  void raw(char byte) {
    *ensure(1) = byte;
    ++size_;
  }

  /// Enters an array or object; better through `Nested`, which leaves it again.
  /// @throws ValueError deeper than `kMaxDepth`.
  void enter() {
    if (depth_ == kMaxDepth) detail::throw_too_deep();
    ++depth_;
  }
  void leave() noexcept { --depth_; }

  /// What was written so far; valid until the next call that changes it.
  [[nodiscard]] std::string_view text() const noexcept { return {buffer_.get(), size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  /// Forgets what was written and keeps the buffer.
  void clear() noexcept { size_ = 0; }
  /// Forgets all but the first `size` bytes, where `size` is at most `size()`.
  void truncate(std::size_t size) noexcept { size_ = size; }
  /// Makes room for `capacity` bytes in all.
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }

 private:
  struct Free {
    void operator()(char* buffer) const noexcept { std::free(buffer); }
  };

  /// Makes room for `bytes` more and returns where they go.
  char* ensure(std::size_t bytes) {
    if (capacity_ - size_ < bytes) [[unlikely]] { grow(std::max(size_ + bytes, capacity_ * 2)); }
    return buffer_.get() + size_;
  }
  void grow(std::size_t capacity);
  const char* copy_plain(const char* in, const char* end);
  const char* copy_sequences(const char* in, const char* end);
  void escape(char byte);
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
  void* const grown = std::realloc(buffer_.get(), capacity);  // moves pages of a large buffer, not bytes
  if (grown == nullptr) throw std::bad_alloc{};
  static_cast<void>(buffer_.release());
  buffer_.reset(static_cast<char*>(grown));
  capacity_ = capacity;
}

inline void JsonWriter::raw(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(ensure(bytes.size()), bytes.data(), bytes.size());
  size_ += bytes.size();
}

template <JsonInteger T>
void JsonWriter::integer(T value) {
  constexpr std::size_t kLongest = 20;
  char* const out = ensure(kLongest);
  const auto stop = std::to_chars(out, out + kLongest, static_cast<detail::Widest<T>>(value)).ptr;
  size_ += static_cast<std::size_t>(stop - out);
}

template <JsonFloat T>
void JsonWriter::number(T value) {
  detail::check_finite(value);
  constexpr std::size_t kLongest = 32;
  char* const out = ensure(kLongest);
  const auto stop = std::to_chars(out, out + kLongest, value).ptr;
  const auto length = static_cast<std::size_t>(stop - out);
  size_ += length;
  const std::string_view written{out, length};
  if (written.find_first_of(".e") == std::string_view::npos) raw(".0");
}

inline void JsonWriter::string(std::string_view text) {
  raw('"');
  append_escaped(text);
  raw('"');
}

inline void JsonWriter::append_escaped(std::string_view text) {
  const char* in = text.data();
  const char* const end = in + text.size();
  while ((in = copy_plain(in, end)) != end) {
    if (detail::is_ascii(*in)) {
      escape(*in++);
      continue;
    }
    const char* const next = copy_sequences(in, end);
    if (next == in) detail::throw_invalid_utf8(static_cast<std::size_t>(in - text.data()));
    in = next;
  }
}

/// Copies up to the first special byte and returns where that is.
inline const char* JsonWriter::copy_plain(const char* in, const char* end) {
  char* out = ensure(static_cast<std::size_t>(end - in) + detail::kBlockSize);
  unsigned special = 0;
  while (special == 0 && end - in >= detail::kBlockSize) {
    special = detail::copy_block(out, in);
    const int plain = special == 0 ? detail::kBlockSize : std::countr_zero(special);
    in += plain;
    out += plain;
  }
  while (special == 0 && in != end && !detail::is_special(*in)) *out++ = *in++;
  size_ = static_cast<std::size_t>(out - buffer_.get());
  return in;
}

/// Copies characters outside ASCII while they are well-formed and returns where they end.
inline const char* JsonWriter::copy_sequences(const char* in, const char* end) {
  const char* const start = in;
  while (in != end && !detail::is_ascii(*in)) {
    const char* const next = detail::sequence_end(in, end);
    if (next == nullptr) break;
    in = next;
  }
  raw({start, static_cast<std::size_t>(in - start)});
  return in;
}

inline void JsonWriter::escape(char byte) {
  constexpr std::string_view kNamed = "\"\"\\\\\bb\ff\nn\rr\tt";  // pairs: the byte, the letter
  for (std::size_t i = 0; i < kNamed.size(); i += 2) {
    if (kNamed[i] != byte) continue;
    raw('\\');
    return raw(kNamed[i + 1]);
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto code = static_cast<unsigned char>(byte);
  raw("\\u00");
  raw(kHex[code >> 4]);
  raw(kHex[code & 0xF]);
}

}  // namespace kvstore::inline v0
