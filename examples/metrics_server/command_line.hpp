// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include "options.hpp"

namespace metrics_server {

inline constexpr const char* kHelp =
    R"(metrics_server serves a store of JSON values over HTTP, with a page to watch and edit it.

  metrics_server --demo            a store of its own, with some load: open the address that it prints
  metrics_server [OPTION]... FILE  the store in FILE, which is made if it is not there

The store
  --storage json|journal  json writes the whole FILE in each save; journal adds a line per operation to
                          FILE.journal, and puts them into FILE at the end. Without this option the store stays
                          as it is: with a journal if FILE.journal is there, otherwise json
  --batch-size N          save after N changes, 100 by default; 1 makes each safe before it is answered, 0 = by
                          time only
  --save-interval S       and at the latest S seconds after a change, 10 by default; 0 = only by number
  --read-only             changes nothing, and so serves a store that another program has open too; what that
                          program saves is seen within a second. While its files cannot be read, what was read
                          last is served, and after 5 s the page and /healthz (503) say so
  --demo                  do some work on entries "demo:0" to "demo:1999"; without FILE in a temporary folder

Where it is served
  --port N                8080 by default; 0 takes any that is free. The address is printed once it can be opened
  --address A             127.0.0.1 by default, which only this machine reaches. Others need a token:
  --token-file FILE       its first line is the token that requests must bring, 16 characters or more. Without
                          this option the environment variable METRICS_SERVER_TOKEN is used. There is no
                          encryption: over a network, put a proxy with TLS before it
  --host-name NAME        another name that the server is known under, behind a proxy say; may be repeated
  --max-body BYTES        the largest request body, 1048576 by default
                          512 connections are served at a time. A head has 10 s to come, a body 15 s. If more
                          than 256 connections have not yet shown that they may ask, the oldest of them goes.
                          A client has 15 s for each 64 KiB of its answer, and less while others wait for room.
                          256 requests for entries may wait, 128 for lists and exports, and 32 for figures; more
                          get 503

What it serves
  /                       the page
  /entries                GET lists them: prefix=, key_contains=, value_contains=, after=KEY, before=KEY,
                          limit= (up to 1000), preview=BYTES. A text to search for has up to 1024 bytes. A list
                          ends at 4 MiB; "next", for after=, and the Link header tell where it goes on
                          POST {"key": K, "value": V} creates one: 201, or 409 if it exists
  /entries/KEY            GET, HEAD; PUT adds or replaces (201, 204); PATCH merges into one that exists; DELETE
                          POST and PUT want Content-Type: application/json, and PATCH
                          Content-Type: application/merge-patch+json (RFC 7396)
                          A key has up to 4096 bytes and is percent-encoded: a slash in it is %2F.
                          /entries?key=KEY is the same, and the only way to the keys "." and ".."
                          PUT, PATCH and DELETE with If-Match: ETAG change what you have seen, or nothing
                          (412); PUT with If-None-Match: * adds, or changes nothing (412)
                          Numbers and the order of members stay as they were written
  /export                 all entries as one JSON object, as a file; takes prefix= and the like too. Each entry
                          is as it was when its turn came. 8 exports run at a time; more get 503
  /metrics                figures for Prometheus;  /metrics.json  those of the page;  /healthz  "ok"

Errors are application/problem+json. 503 and 507 with "applied": true mean: changed in memory, and not yet on
disk, because saving failed; it is tried again.

Examples:
  metrics_server --demo
  metrics_server users.json --port 9000 --batch-size 1
  curl -X PUT -H 'Content-Type: application/json' -d '{"city": "London"}' localhost:9000/entries/ada
  openssl rand -hex 32 > token && chmod 600 token
  metrics_server users.json --address 0.0.0.0 --token-file token

It ends on Ctrl-C and SIGTERM: requests under way are answered, and everything is saved.

`metrics_server --version` prints the version.

Exit status:
  0  ended, and everything is on disk
  2  the command line or the token is not usable
  3  the store is damaged
  4  another process has the store open
  5  anything else: no such folder, the port is taken, the last save failed
)";

/// Of an option that takes a whole number. Says what is wrong with a number, not which the range is.
[[nodiscard]] inline CLI::Validator whole(std::int64_t least, std::int64_t most) {
  const auto check = [=](const std::string& text) -> std::string {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::invalid_argument || end != text.data() + text.size())
      return text + " is no whole number";
    const bool beyond = error == std::errc::result_out_of_range;
    if (beyond ? text.starts_with('-') : value < least)
      return text + " is less than " + std::to_string(least);
    if (beyond || value > most) return text + " is more than " + std::to_string(most);
    return "";
  };
  return {check, ""};
}

[[nodiscard]] inline CLI::Validator seconds_up_to(int most) {
  const auto check = [=](const std::string& text) -> std::string {
    double value = 0;
    if (!CLI::detail::lexical_cast(text, value) || std::isnan(value)) return text + " is no number";
    if (value < 0) return text + " is less than 0";
    return value > most ? text + " is more than " + std::to_string(most) : "";
  };
  return {check, ""};
}

/// Says about arguments that are left over what each of them is.
[[noreturn]] inline void throw_unexpected(const std::vector<std::string>& left) {
  const auto option =
      std::find_if(left.begin(), left.end(), [](const std::string& one) { return one.starts_with('-'); });
  if (option != left.end()) throw CLI::ValidationError{*option + ": there is no such option"};
  throw CLI::ValidationError{left.front() + ": one FILE is served at a time, and this is another"};
}

/// @throws CLI::ParseError
inline void parse(int argc, char* argv[], Options& options) {
  CLI::App app{"Serves a store over HTTP", "metrics_server"};
  app.add_option("FILE", options.path);
  app.add_option("--storage", options.storage)->check(CLI::IsMember({"json", "journal"}));
  app.add_option("--batch-size", options.batch_size)->check(whole(0, 1000000000000));
  app.add_option("--save-interval", options.save_interval)->check(seconds_up_to(86400));
  app.add_option("--address", options.address);
  app.add_option("--port", options.port)->check(whole(0, 65535));
  app.add_option("--token-file", options.token_file);
  app.add_option("--host-name", options.host_names)->allow_extra_args(false);
  app.add_option("--max-body", options.max_body)->check(whole(1, 1024 * 1024 * 1024));
  CLI::Option* const demo = app.add_flag("--demo", options.demo);
  app.add_flag("--read-only", options.read_only)->excludes(demo);
  app.set_version_flag("--version", "metrics_server " KVSTORE_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError&) { throw_unexpected(app.remaining()); }
  if (options.path.empty() && !options.demo)
    throw CLI::RequiredError{"FILE, the store to be served, or --demo,"};
}

}  // namespace metrics_server
