# For CMAKE_PROJECT_kvstore_INCLUDE: nlohmann/json and Catch2 2.13, which are headers only, from where Linux has them.
# Not with that whole folder, whose other headers are Linux's.
set(folder "${CMAKE_CURRENT_BINARY_DIR}/include")
file(MAKE_DIRECTORY "${folder}")
foreach(package IN ITEMS nlohmann/json.hpp catch2/catch.hpp)
  cmake_path(GET package PARENT_PATH name)
  find_path(KVSTORE_WINDOWS_${name} ${package} PATHS /usr/local/include /usr/include NO_CMAKE_FIND_ROOT_PATH REQUIRED)
  file(CREATE_LINK "${KVSTORE_WINDOWS_${name}}/${name}" "${folder}/${name}" SYMBOLIC)
endforeach()
foreach(target IN ITEMS nlohmann_json::nlohmann_json Catch2::Catch2)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE "${folder}")
endforeach()
