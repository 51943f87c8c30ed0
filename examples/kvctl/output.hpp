// SPDX-License-Identifier: MIT
#pragma once

// Standard output and input. What goes to a terminal cannot send it control characters; what goes to a pipe
// is as it is stored.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
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

/// `text` without anything that a terminal would obey. `escape` says how a byte is to look.
template <class Escape>
[[nodiscard]] std::string visible_by(std::string_view text, const Escape& escape) {
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    const auto first = static_cast<unsigned char>(text[0]);
    const bool is_c1 = bytes == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (bytes == 0)  // no UTF-8
      out += hex_escape(text[0]);
    else if (first < 0x20 || first == 0x7F || is_c1)
      out += escape(text[bytes - 1]);
    else
      out += text.substr(0, bytes);
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

/// For keys and messages; their line feeds are escaped too, so that nothing can look like a line of ours.
[[nodiscard]] inline std::string visible(std::string_view text) {
  return visible_by(text, [](char byte) { return hex_escape(byte); });
}

/// For JSON, which stays JSON: as text has it in strings, and white space between tokens as a space.
[[nodiscard]] inline std::string visible_json(std::string_view text) {
  return visible_by(text, [](char byte) {
    if (static_cast<unsigned char>(byte) < 0x20) return std::string{" "};
    return "\\u00" + hex_escape(byte).substr(2);
  });
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

/// Messages name keys and files, which may hold anything.
inline void complain(const std::string& message) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  std::string text;
  for (std::size_t start = 0, end = 0; end != std::string::npos; start = end + 1) {
    end = message.find('\n', start);
    const std::string line = message.substr(start, end == std::string::npos ? end : end - start);
    text += (start == 0 ? "" : "\n") + (terminal ? visible(line) : line);
  }
  std::cerr << "kvctl: " << text << '\n';
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
