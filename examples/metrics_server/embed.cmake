# Writes the files of the page into a header, as they are: cmake -DOUT=... -P embed.cmake

set(entries "")
foreach(file IN ITEMS
    "/|page.html|text/html; charset=utf-8"
    "/icon.svg|icon.svg|image/svg+xml"
    "/page.css|page.css|text/css; charset=utf-8"
    "/page.js|page.js|text/javascript; charset=utf-8"
    "/charts.js|charts.js|text/javascript; charset=utf-8"
    "/entries.js|entries.js|text/javascript; charset=utf-8"
    "/editor.js|editor.js|text/javascript; charset=utf-8"
    "/shown.js|shown.js|text/javascript; charset=utf-8"
    "/server.js|server.js|text/javascript; charset=utf-8")
  string(REGEX MATCH "^([^|]*)\\|([^|]*)\\|(.*)$" matched "${file}")
  set(path "${CMAKE_MATCH_1}")
  set(name "${CMAKE_MATCH_2}")
  set(type "${CMAKE_MATCH_3}")
  file(READ "${CMAKE_CURRENT_LIST_DIR}/${name}" content)
  string(APPEND entries "    {\"${path}\", \"${type}\", R\"~~~(${content})~~~\"},\n")
endforeach()

file(WRITE "${OUT}" "// Made by embed.cmake.
#pragma once

#include <string_view>

namespace metrics_server {

struct PageFile {
  std::string_view path;
  const char* type;
  std::string_view content;
};

inline constexpr PageFile kPageFiles[] = {
${entries}};

}  // namespace metrics_server
")
