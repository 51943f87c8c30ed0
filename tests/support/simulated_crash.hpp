// SPDX-License-Identifier: MIT
#pragma once

// Enumerates or samples the states that power loss may leave.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "support/simulated_file.hpp"

namespace support {

/// Everything on a disk without power: full path -> contents.
using DiskImage = std::map<std::string, SparseText>;

/// A key that differs between different images.
[[nodiscard]] inline std::string key_of(const DiskImage& image) {
  std::string key;
  for (const auto& [path, text] : image) {
    key += path + '\0' + std::to_string(text.size) + '/' + std::to_string(text.bytes.size()) + '\0';
    key += text.bytes;
  }
  return key;
}

/// A description for the message of a test.
[[nodiscard]] inline std::string describe(const DiskImage& image) {
  std::string words;
  for (const auto& [path, text] : image) {
    words += "  " + path + " (" + std::to_string(text.size) + " bytes): ";
    for (const char c : text.bytes) {
      const auto byte = static_cast<unsigned char>(c);
      constexpr char kHex[] = "0123456789abcdef";
      if (byte >= 0x20 && byte < 0x7f)
        words += c;
      else
        (words += '\\') += {kHex[byte >> 4U], kHex[byte & 15U]};
    }
    words += '\n';
  }
  return words.empty() ? "  no files\n" : words;
}

/// The choice of crash states to examine. If at most `exhaustive_bits` changes are uncertain, that is all
/// states. Otherwise it is `samples` of them: nothing kept, everything kept, everything up to a point, all
/// but one, only one, and random sets.
struct CrashSampling {
  std::size_t exhaustive_bits = 10;
  std::size_t samples = 64;
  std::uint64_t seed = 1;
};

/// The seed of a randomised test: KVSTORE_TEST_SEED, or a fixed number, so that a run can be repeated.
[[nodiscard]] inline std::uint64_t test_seed() {
  const char* text = std::getenv("KVSTORE_TEST_SEED");
  return text == nullptr ? 20240611U : std::strtoull(text, nullptr, 10);
}

/// Answers the yes-or-no questions of one crash. The number of questions may depend on the answers.
class CrashChoices {
 public:
  using Rule = std::function<bool(std::size_t question)>;
  explicit CrashChoices(Rule rule) : rule_{std::move(rule)} {}

  bool operator()() {
    if (next_ == answers_.size()) answers_.push_back(rule_(next_));
    return answers_[next_++];
  }
  [[nodiscard]] std::size_t asked() const noexcept { return answers_.size(); }

  /// Turns to the next row of answers in binary order. @returns false after the last one
  bool advance() {
    next_ = 0;
    while (!answers_.empty() && answers_.back()) answers_.pop_back();
    if (answers_.empty()) return false;
    answers_.back() = true;
    return true;
  }

 private:
  Rule rule_;
  std::vector<bool> answers_;
  std::size_t next_ = 0;
};

/// Collects the distinct images that `build(choices)` makes.
template <class Build>
class CrashEnumeration {
 public:
  explicit CrashEnumeration(const Build& build) : build_{build} {}

  std::vector<DiskImage> all() {
    CrashChoices choices{[](std::size_t) { return false; }};
    do add(choices);
    while (choices.advance());
    return std::move(images_);
  }

  std::vector<DiskImage> sample(const CrashSampling& sampling) {
    std::mt19937_64 random{sampling.seed};
    run([](std::size_t) { return false; });
    const std::size_t questions = run([](std::size_t) { return true; });
    for (std::size_t i = 2; i < sampling.samples; ++i) {
      const std::size_t at = random() % questions;
      switch (random() % 5) {
        case 0:
          run([at](std::size_t question) { return question <= at; });
          break;
        case 1:
          run([at](std::size_t question) { return question != at; });
          break;
        case 2:
          run([at](std::size_t question) { return question == at; });
          break;
        default:
          const std::uint64_t kept = 1 + random() % 7;  // eighths
          run([&random, kept](std::size_t) { return random() % 8 < kept; });
      }
    }
    return std::move(images_);
  }

 private:
  std::size_t run(CrashChoices::Rule rule) {
    CrashChoices choices{std::move(rule)};
    add(choices);
    return choices.asked();
  }
  void add(CrashChoices& choices) {
    DiskImage image = build_(choices);
    if (seen_.insert(key_of(image)).second) images_.push_back(std::move(image));
  }

  const Build& build_;
  std::vector<DiskImage> images_;
  std::unordered_set<std::string> seen_;
};

}  // namespace support
