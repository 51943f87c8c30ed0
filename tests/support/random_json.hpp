// SPDX-License-Identifier: MIT
#pragma once

// Random JSON objects in every valid layout, and random damage to them.

#include <algorithm>
#include <array>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>

namespace support {

/// The layout of one file: the white space around its punctuation. In a messy file the layout changes from
/// place to place.
struct JsonLayout {
  std::string before_key, after_key, after_colon, after_value, inside;
  bool messy = false;
};

class RandomJson {
 public:
  explicit RandomJson(std::mt19937& random) : random_{random} {}

  /// An object of up to `most` entries with different keys, apart from a few that occur twice.
  [[nodiscard]] std::string object(std::size_t most) {
    const JsonLayout layout = random_layout();
    const std::size_t entries = below(most + 1);
    const bool twice = below(8) == 0;
    std::string text = below(16) == 0 ? "\xEF\xBB\xBF{" : "{";
    for (std::size_t i = 0; i < entries; ++i) {
      if (i != 0) text += "," + space(layout, layout.before_key);
      if (i == 0) text += space(layout, layout.before_key);
      text += key(twice && below(20) == 0 ? below(entries) : i) + space(layout, layout.after_key) + ":" +
              space(layout, layout.after_colon);
      append_value(text, layout, 0);
      text += space(layout, layout.after_value);
    }
    return text + (layout.before_key.starts_with('\n') ? "\n}\n" : "}");
  }

  /// Damages a text: cuts it off, or changes, removes or repeats a part.
  void damage(std::string& text) {
    if (text.empty()) return;
    const std::size_t at = below(text.size());
    constexpr std::string_view kBytes = "\"\\{}[],:\n\r\t 019-eE.ntfu\0\x01\x80\xc3\xff";
    switch (below(6)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text[at] = kBytes[below(kBytes.size())];
        break;
      case 2:
        text.insert(at, 1, kBytes[below(kBytes.size())]);
        break;
      case 3:
        text.erase(at, 1 + below(5));
        break;
      case 4:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      default:
        text.insert(at, text.substr(at, 1 + below(100)));
    }
  }

  [[nodiscard]] std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>{0, limit - 1}(random_);
  }

 private:
  [[nodiscard]] JsonLayout random_layout() {
    const std::array<JsonLayout, 8> layouts{{{"\n", "", " ", "", "", false},          // as we write it
                                             {"", "", "", "", "", false},             // minified
                                             {"\n  ", "", " ", "", "\n    ", false},  // as jq does
                                             {" ", "", " ", "", " ", false},
                                             {"\r\n\t", "", " ", "", "\r\n\t\t", false},
                                             {"\n", " ", "\n", "\n", "\n", false},  // commas lead their line
                                             {"\n", "", " ", "", "\n", false},  // nested values look alike
                                             {"", "", "", "", "", true}}};
    return layouts[below(layouts.size())];
  }

  [[nodiscard]] std::string space(const JsonLayout& layout, const std::string& usual) {
    if (!layout.messy) return usual;
    std::string text;
    for (std::size_t i = below(4); i > 0; --i) text += " \n\r\t"[below(4)];
    return text;
  }

  [[nodiscard]] std::string key(std::size_t number) {
    constexpr std::array<std::string_view, 6> kStarts{
        "key", "\\n,\\\"", "\xc3\xa9", ",", "a key longer than most", "\\u0041"};
    return '"' + std::string{kStarts[number % kStarts.size()]} + std::to_string(number) + '"';
  }

  [[nodiscard]] std::string string() {
    constexpr std::array<std::string_view, 10> kPieces{"text",     ",\\n",    "\\\\", "\\\"", "\": 1,\\\"",
                                                       "\xc3\xa9", "\\u00e9", "{[}]", ", ",   " "};
    std::string text = "\"";
    for (std::size_t i = below(6); i > 0; --i) {
      const std::string_view piece = kPieces[below(kPieces.size())];
      if (!piece.starts_with("\":")) text += piece;
    }
    return text + '"';
  }

  void append_value(std::string& text, const JsonLayout& layout, int depth) {
    constexpr std::array<std::string_view, 6> kWords{"null", "true",    "false",
                                                     "0",    "-12.5e3", "9007199254740993"};
    const std::size_t kind = below(depth < 3 ? 8 : 5);
    if (kind < 2) {
      text += kWords[below(kWords.size())];
    } else if (kind < 5) {
      text += string();
    } else {
      const bool array = kind < 7;
      text += array ? '[' : '{';
      for (std::size_t i = 0, count = below(4); i < count; ++i) {
        text += (i != 0 ? "," : "") + space(layout, layout.inside);
        if (!array) text += key(i) + ":" + space(layout, layout.after_colon);
        append_value(text, layout, depth + 1);
      }
      text += array ? ']' : '}';
    }
  }

  std::mt19937& random_;
};

}  // namespace support
