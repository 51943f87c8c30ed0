// SPDX-License-Identifier: MIT

// The main() of the test programs, compiled once: Catch2 2.13 compiles all of itself here.

#if __has_include(<catch2/catch_session.hpp>)

#include <catch2/catch_session.hpp>

int main(int argc, char* argv[]) { return Catch::Session().run(argc, argv); }

#else

#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#endif
