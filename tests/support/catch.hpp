// SPDX-License-Identifier: MIT
#pragma once

// Catch2 2.13 or 3.x under one name. Tests use the interface of version 3; this header adds the names that
// version 2 lacks.

#if __has_include(<catch2/catch_test_macros.hpp>)

#include <catch2/catch_approx.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>

#else

#include <catch2/catch.hpp>
#include <string>

namespace Catch::Matchers {

/// The name that version 3 uses. There, `Contains` is about elements of a range.
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }

}  // namespace Catch::Matchers

#endif
