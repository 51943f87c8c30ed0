// SPDX-License-Identifier: MIT
#pragma once

// A keyed hash: nobody who does not know the seed can choose texts that collide. It takes some 20 ns, several
// times as long as the usual hash, so only what strangers attack or fill pays for it.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string_view>

#include "kvstore/detail/base/load_word.hpp"
#include "kvstore/detail/base/random_bits.hpp"

namespace kvstore { inline namespace v1 {

/// The secret of one hash table, 128 random bits.
struct HashSeed {
  std::uint64_t first = 0;   ///< one half
  std::uint64_t second = 0;  ///< the other half

  /// A new one. If the system has no random bits, addresses, which differ from process to process, must do.
  [[nodiscard]] static HashSeed random() noexcept {
    HashSeed seed;
    try {
      seed = {detail::random_bits(), detail::random_bits()};
    } catch (const std::exception&) {
      seed.first = reinterpret_cast<std::uintptr_t>(&seed);
      seed.second = ~(seed.first << 32U);
    }
    return seed;
  }
};

namespace detail {

/// SipHash-1-3, 64 bits wide. Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF".
class SipHash {
 public:
  explicit SipHash(const HashSeed& seed) noexcept
      : a_{seed.first ^ 0x736f6d6570736575U},
        b_{seed.second ^ 0x646f72616e646f6dU},
        c_{seed.first ^ 0x6c7967656e657261U},
        d_{seed.second ^ 0x7465646279746573U} {}

  void add(std::uint64_t word) noexcept {
    d_ ^= word;
    round();
    a_ ^= word;
  }
  [[nodiscard]] std::uint64_t end() noexcept {
    c_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

 private:
  static std::uint64_t turned(std::uint64_t word, unsigned bits) noexcept {
    return word << bits | word >> (64U - bits);
  }
  void round() noexcept {
    a_ += b_, c_ += d_;
    b_ = turned(b_, 13) ^ a_, d_ = turned(d_, 16) ^ c_;
    a_ = turned(a_, 32);
    c_ += b_, a_ += d_;
    b_ = turned(b_, 17) ^ c_, d_ = turned(d_, 21) ^ a_;
    c_ = turned(c_, 32);
  }

  std::uint64_t a_;
  std::uint64_t b_;
  std::uint64_t c_;
  std::uint64_t d_;
};

[[nodiscard]] inline std::uint64_t sip_hash(std::uint64_t word, const HashSeed& seed) noexcept {
  SipHash hash{seed};
  hash.add(word);
  hash.add(std::uint64_t{8} << 56U);
  return hash.end();
}

[[nodiscard]] inline std::uint64_t sip_hash(std::string_view text, const HashSeed& seed) noexcept {
  SipHash hash{seed};
  std::size_t at = 0;
  for (; text.size() - at >= 8; at += 8) hash.add(load_word<std::uint64_t>(text.data() + at));
  std::uint64_t last = std::uint64_t{text.size()} << 56U;
  for (std::size_t i = at; i < text.size(); ++i) {
    last |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * (i - at));
  }
  hash.add(last);
  return hash.end();
}

/// The hash of a standard container whose keys strangers choose: that of the standard library has no secret.
class SecretTextHash {
 public:
  using is_transparent = void;
  [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept {
    return static_cast<std::size_t>(sip_hash(text, seed_));
  }

 private:
  HashSeed seed_ = HashSeed::random();
};

}  // namespace detail
}}  // namespace kvstore::v1
