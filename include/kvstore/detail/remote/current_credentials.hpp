// SPDX-License-Identifier: MIT
#pragma once

// The user and password that are valid now.

#include <exception>
#include <string>

#include "kvstore/credentials.hpp"
#include "kvstore/detail/base/printable.hpp"
#include "kvstore/error.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// Those of `source`, or, without one, the fixed ones. @throws ServerError if the source throws
[[nodiscard]] inline Credentials current_credentials(const std::string& user, const std::string& password,
                                                     const CredentialsSource& source) {
  if (!source) return {user, password};
  try {
    Credentials now = source();
    if (now.password.empty() && !now.user.empty())
      throw ServerError{"the source of credentials has no password for user " + printable(now.user, "\"")};
    return now;
  } catch (const ServerError&) { throw; } catch (const std::exception& error) {
    throw ServerError{std::string{"the source of credentials has none: "} + error.what()};
  } catch (...) { throw ServerError{"the source of credentials threw what is no std::exception"}; }
}

}}}  // namespace kvstore::v1::detail
