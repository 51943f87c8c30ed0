// SPDX-License-Identifier: MIT
#pragma once

// Random bits from the operating system. `std::random_device` would give the same bits, but its header costs
// the compiler as much time as three thousand lines of ours.

#include <cstdint>

#ifdef _WIN32
// <stdlib.h> declares it only if it is asked to before its first include.
#ifdef __MINGW32__
extern "C" __declspec(dllimport) int __cdecl rand_s(unsigned int* bits);
#else
extern "C" int __cdecl rand_s(unsigned int* bits);
#endif
#else
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

#include <cerrno>
#endif
#include <system_error>

namespace kvstore { inline namespace v1 { namespace detail {

/// 64 bits that nobody can guess. @throws std::system_error if the system has none
[[nodiscard]] inline std::uint64_t random_bits() {
#ifdef _WIN32
  unsigned int high = 0;
  unsigned int low = 0;
  if (::rand_s(&high) != 0 || ::rand_s(&low) != 0) {
    throw std::system_error{std::make_error_code(std::errc::not_supported), "no random bits"};
  }
  return std::uint64_t{high} << 32U | low;
#else
  std::uint64_t bits = 0;
  if (::getentropy(&bits, sizeof bits) != 0) {
    throw std::system_error{errno, std::generic_category(), "no random bits"};
  }
  return bits;
#endif
}

}}}  // namespace kvstore::v1::detail
