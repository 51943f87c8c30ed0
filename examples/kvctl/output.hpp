// SPDX-License-Identifier: MIT
#pragma once

// Standard output and input. What goes to a terminal cannot send it control characters; what goes to a pipe
// is as it is stored.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <kvstore/codec.hpp>
#include <kvstore/key_text.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "outcome.hpp"
#include "text.hpp"

namespace kvctl {

/// Whoever read our output has read enough.
struct ReaderGone {};

/// The character that `text` begins with, which is valid.
[[nodiscard]] inline std::uint32_t code_of(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (text.size() == 1) return first;
  std::uint32_t code = first & (0x7FU >> text.size());
  for (const char byte : text.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3F);
  return code;
}

/// Control characters, also those of U+0080 to U+009F, and the marks that turn text around: a name could look
/// like another one.
[[nodiscard]] inline bool is_obeyed(std::uint32_t code) {
  const auto is_in = [code](std::uint32_t first, std::uint32_t last) {
    return code >= first && code <= last;
  };
  return code < 0x20 || is_in(0x7F, 0x9F) || is_in(0x200E, 0x200F) || is_in(0x202A, 0x202E) ||
         is_in(0x2066, 0x2069);
}

/// `text` without anything that a terminal would obey. `escape` says how such a character is to look.
template <class Escape>
[[nodiscard]] std::string visible_by(std::string_view text, const Escape& escape) {
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    const std::uint32_t code = bytes == 0 ? 0 : code_of(text.substr(0, bytes));
    if (bytes == 0)  // no UTF-8
      out += hex_escape(text[0]);
    else if (is_obeyed(code))
      out += escape(code);
    else
      out += text.substr(0, bytes);
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

/// Four digits, of a character below U+10000.
[[nodiscard]] inline std::string hex_of(std::uint32_t code) {
  return hex_escape(static_cast<char>(code >> 8)).substr(2) + hex_escape(static_cast<char>(code)).substr(2);
}

/// For keys and messages; their line feeds are escaped too, so that nothing can look like a line of ours.
[[nodiscard]] inline std::string visible(std::string_view text) {
  return visible_by(text, [](std::uint32_t code) {
    return code < 0x100 ? hex_escape(static_cast<char>(code)) : "\\u{" + hex_of(code) + "}";
  });
}

/// For JSON, which stays JSON: as text has it in strings, and white space between tokens as a space.
[[nodiscard]] inline std::string visible_json(std::string_view text) {
  return visible_by(text,
                    [](std::uint32_t code) { return code < 0x20 ? std::string{" "} : "\\u" + hex_of(code); });
}

/// JSON on one line. Line feeds can stand between tokens only, where a space says the same.
[[nodiscard]] inline std::string on_one_line(std::string_view json) {
  std::string out{json};
  for (char& byte : out) {
    if (byte == '\n' || byte == '\r') byte = ' ';
  }
  return out;
}

[[nodiscard]] inline std::string to_json(std::string_view text) {
  kvstore::JsonWriter out;
  out.string(text);
  return std::string{out.text()};
}

/// Standard output, in blocks. A failure to write is an error, except that whoever reads has gone.
class Output {
 public:
  Output() : terminal_{::isatty(STDOUT_FILENO) == 1} {}

  [[nodiscard]] bool terminal() const noexcept { return terminal_; }

  void append(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() >= kBlock) flush();
  }

  void flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const ::ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_not_written();
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    buffer_.clear();
  }

  // What stands in a store, as the reader of our output can bear it.
  void append_key(std::string_view key) { append(terminal_ ? visible(key) : std::string{key}); }
  /// A line of ours, which names files: no name can look like another line, also in a pipe.
  void append_message(std::string_view line) { append(visible(line) + "\n"); }
  void append_json(std::string_view json) { append(terminal_ ? visible_json(json) : on_one_line(json)); }

 private:
  static constexpr std::size_t kBlock = std::size_t{64} << 10;

  [[noreturn]] void throw_not_written() {
    const std::error_code error{errno, std::generic_category()};
    buffer_.clear();
    if (error == std::errc::broken_pipe) throw ReaderGone{};
    throw Failure{kFailed, "cannot write to standard output: " + error.message()};
  }

  bool terminal_;
  std::string buffer_;
};

/// Messages name keys and files, which may hold anything: each is one line, on a terminal and in a log.
inline void complain(std::string_view message, std::string_view advice = {}) {
  std::string text = "kvctl: " + visible(message) + '\n';
  if (!advice.empty()) text += visible(advice) + '\n';
  std::cerr << text;
}

/// Everything from a descriptor; `name` is for messages.
[[nodiscard]] inline std::string read_all(int descriptor, const std::string& name) {
  std::string text;
  std::size_t used = 0;
  while (true) {
    text.resize(used + (std::size_t{64} << 10) + used / 2);
    const ::ssize_t got = ::read(descriptor, text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw Failure{kFailed,
                    name + ": cannot read: " + std::error_code{errno, std::generic_category()}.message()};
    }
    used += static_cast<std::size_t>(got);
    if (got == 0) break;
  }
  text.resize(used);
  return text;
}

/// A whole file, or standard input for "" and "-".
[[nodiscard]] inline std::string read_file(const std::string& name) {
  if (name.empty() || name == "-") return read_all(STDIN_FILENO, "standard input");
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw Failure{kFailed,
                  name + ": cannot open: " + std::error_code{errno, std::generic_category()}.message()};
  }
  struct Close {
    int descriptor;
    ~Close() { ::close(descriptor); }
  } const closer{descriptor};
  return read_all(descriptor, name);
}

}  // namespace kvctl
