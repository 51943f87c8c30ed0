// SPDX-License-Identifier: MIT
#pragma once

// A text that is searched for. Clients choose it, and programs elsewhere the texts that are searched: the
// usual ways would take as many steps as the product of both lengths.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics_server {

/// Knuth, Morris, Pratt: each byte is looked at twice at most.
class Needle {
 public:
  explicit Needle(std::string text) : text_{std::move(text)}, shorter_(text_.size()) {
    for (std::size_t at = 1; at < text_.size(); ++at) shorter_[at] = longer(shorter_[at - 1], text_[at]);
  }

  [[nodiscard]] bool is_in(std::string_view text) const {
    if (text_.size() <= kShort) return text.find(text_) != std::string_view::npos;
    std::size_t matched = 0;
    for (const char c : text) {
      matched = longer(matched, c);
      if (matched == text_.size()) return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t kShort = 8;  ///< bytes that cost little in any way

  /// How much of the needle ends in `c`, where `matched` bytes of it came before.
  [[nodiscard]] std::size_t longer(std::size_t matched, char c) const {
    while (matched != 0 && text_[matched] != c) matched = shorter_[matched - 1];
    return text_[matched] == c ? matched + 1 : 0;
  }

  std::string text_;
  std::vector<std::size_t> shorter_;  ///< of each start of the needle: the longest start that also ends it
};

}  // namespace metrics_server
