// SPDX-License-Identifier: MIT
#pragma once

// Certificates for servers of tests, made by the program openssl.

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "support/temp_folder.hpp"

namespace support {

/// A certificate authority, and a certificate of its for both ends of a connection, one of them `name`.
inline void make_certificates(const TempFolder& folder, const std::string& name = "IP:127.0.0.1") {
  write_file(folder / "san", "subjectAltName=" + name + "\n");
  const std::string key = " -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ";
  const std::string command =
      "cd '" + folder.path().string() + "' && { openssl req -x509 " + key +
      "-keyout ca.key -out ca.pem -subj /CN=ca -days 2 && openssl req " + key +
      "-keyout key.pem -out request -subj /CN=127.0.0.1 && openssl x509 -req -in request -CA ca.pem "
      "-CAkey ca.key -CAcreateserial -extfile san -days 2 -out cert.pem; } > /dev/null 2>&1";
  if (std::system(command.c_str()) != 0) throw std::runtime_error{"failed: " + command};
}

}  // namespace support
