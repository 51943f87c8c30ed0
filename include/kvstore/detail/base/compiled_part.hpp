// SPDX-License-Identifier: MIT
#pragma once

// Has the linker compare a program with the compiled part. Each file of the program refers to a variable
// whose name states the version and the macros. If the compiled part was built differently, or is not linked,
// the linker reports this variable: no function is called whose types have another layout.

namespace kvstore { inline namespace v1 { namespace detail {

#if defined(__SSE2__) && !defined(KVSTORE_NO_SIMD)
inline constexpr bool kSimd = true;
#else
inline constexpr bool kSimd = false;
#endif
#ifdef _GLIBCXX_DEBUG
inline constexpr bool kDebugContainers = true;
#else
inline constexpr bool kDebugContainers = false;
#endif

/// Defined in the compiled part, for its version and macros.
template <int Major, int Minor, int Patch, bool Simd, bool DebugContainers>
struct LinkTheCompiledPart {
  static const bool of_this_version_with_these_macros;
};

using CompiledPart = LinkTheCompiledPart<0, 1, 0, kSimd, kDebugContainers>;

/// Not inline: the linker would keep one of all files', and miss what the others need.
[[gnu::used]] static const bool* const compiled_part =  // NOLINT(misc-use-anonymous-namespace)
    &CompiledPart::of_this_version_with_these_macros;

}}}  // namespace kvstore::v1::detail
