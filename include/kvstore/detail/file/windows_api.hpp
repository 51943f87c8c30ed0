// SPDX-License-Identifier: MIT
#pragma once

// The results of Windows calls: errors and handles. The only header that includes <windows.h>.

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvstore/detail/base/immortal.hpp"
#include "kvstore/detail/base/path_text.hpp"

#ifdef _WIN32

// A program that includes <windows.h> itself keeps its own choice of both macros.
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#define KVSTORE_LEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#define KVSTORE_NOMINMAX
#endif
#include <windows.h>
#ifdef KVSTORE_LEAN
#undef KVSTORE_LEAN
#undef WIN32_LEAN_AND_MEAN
#endif
#ifdef KVSTORE_NOMINMAX
#undef KVSTORE_NOMINMAX
#undef NOMINMAX
#endif
// Macros that take common words. FAR and NEAR, which other Windows headers use, keep their empty definitions.
#undef far
#undef near
#undef FAR
#undef NEAR
#define FAR
#define NEAR

namespace kvstore { inline namespace v1 { namespace detail {

/// Error numbers of GetLastError. They keep Windows' own messages, which distinguish a file in use from a
/// forbidden one, and compare with `std::errc`.
class WindowsErrors final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "windows"; }

  [[nodiscard]] std::string message(int code) const override {
    std::array<wchar_t, 512> text{};
    constexpr ::DWORD kPlain =
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    const auto size = ::FormatMessageW(kPlain, nullptr, static_cast<::DWORD>(code), 0, text.data(),
                                       static_cast<::DWORD>(text.size()), nullptr);
    std::wstring_view sentence{text.data(), size};
    while (!sentence.empty() && (sentence.back() == L' ' || sentence.back() == L'.'))
      sentence.remove_suffix(1);
    const std::string number = "Windows error " + std::to_string(code);
    return sentence.empty() ? number : path_text(std::filesystem::path{sentence}) + " (" + number + ")";
  }

  [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
    const std::errc meaning = meaning_of(static_cast<::DWORD>(code));
    return meaning == std::errc{} ? std::error_condition{code, *this} : std::make_error_condition(meaning);
  }

 private:
  static std::errc meaning_of(::DWORD code) noexcept {
    for (const Meaning& known : kMeanings) {
      if (known.code == code) return known.meaning;
    }
    return std::errc{};
  }

  struct Meaning {
    ::DWORD code;
    std::errc meaning;
  };
  static constexpr Meaning kMeanings[] = {
      {ERROR_FILE_NOT_FOUND, std::errc::no_such_file_or_directory},
      {ERROR_PATH_NOT_FOUND, std::errc::no_such_file_or_directory},
      {ERROR_INVALID_DRIVE, std::errc::no_such_file_or_directory},
      {ERROR_BAD_NETPATH, std::errc::no_such_file_or_directory},
      {ERROR_FILE_EXISTS, std::errc::file_exists},
      {ERROR_ALREADY_EXISTS, std::errc::file_exists},
      {ERROR_ACCESS_DENIED, std::errc::permission_denied},
      {ERROR_SHARING_VIOLATION, std::errc::permission_denied},
      {ERROR_USER_MAPPED_FILE, std::errc::permission_denied},
      {ERROR_WRITE_PROTECT, std::errc::read_only_file_system},
      {ERROR_DISK_FULL, std::errc::no_space_on_device},
      {ERROR_HANDLE_DISK_FULL, std::errc::no_space_on_device},
      {ERROR_FILE_TOO_LARGE, std::errc::file_too_large},
      {ERROR_LOCK_VIOLATION, std::errc::operation_would_block},
      {ERROR_INVALID_FUNCTION, std::errc::operation_not_supported},
      {ERROR_NOT_SUPPORTED, std::errc::operation_not_supported},
      {ERROR_CALL_NOT_IMPLEMENTED, std::errc::operation_not_supported},
      {ERROR_INVALID_PARAMETER, std::errc::invalid_argument},
      {ERROR_INVALID_NAME, std::errc::invalid_argument},
      {ERROR_FILENAME_EXCED_RANGE, std::errc::filename_too_long},
      {ERROR_NOT_SAME_DEVICE, std::errc::cross_device_link},
      {ERROR_DIRECTORY, std::errc::not_a_directory},
      {ERROR_CANT_RESOLVE_FILENAME, std::errc::too_many_symbolic_link_levels},
      {ERROR_NOT_ENOUGH_MEMORY, std::errc::not_enough_memory},
      {ERROR_OUTOFMEMORY, std::errc::not_enough_memory},
      {ERROR_TOO_MANY_OPEN_FILES, std::errc::too_many_files_open},
  };
};

inline std::error_code windows_error(::DWORD code) {
  static const Immortal<WindowsErrors> errors;
  return {static_cast<int>(code), *errors};
}

/// The error of a call that returns whether it succeeded: 0 if it did.
inline ::DWORD windows_outcome(::BOOL succeeded) { return succeeded != 0 ? 0 : ::GetLastError(); }

/// Whether another program's open handle may be the reason; such an error passes by itself.
inline bool held_by_others(::DWORD code) {
  return code == ERROR_SHARING_VIOLATION || code == ERROR_ACCESS_DENIED || code == ERROR_USER_MAPPED_FILE;
}

/// Makes a call that returns an error number. While `is_transient` holds for the number, the call is repeated
/// at growing intervals, for a second in all.
template <class Call>
std::error_code windows_patiently(const Call& call, bool (*is_transient)(::DWORD) = held_by_others) {
  constexpr ::DWORD kMaxPause = 512;  // milliseconds
  for (::DWORD pause = 1;; pause *= 2) {
    const ::DWORD code = call();
    if (code == 0) return {};
    if (!is_transient(code) || pause > kMaxPause) return windows_error(code);
    ::Sleep(pause);
  }
}

/// Closes a handle from CreateFileW or CreateEventW.
class WindowsHandle {
 public:
  WindowsHandle() = default;
  explicit WindowsHandle(::HANDLE handle) noexcept : handle_{handle} {}
  WindowsHandle(WindowsHandle&& other) noexcept : handle_{other.release()} {}
  WindowsHandle& operator=(WindowsHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~WindowsHandle() {
    if (is_open()) ::CloseHandle(handle_);
  }

  [[nodiscard]] ::HANDLE get() const noexcept { return handle_; }
  [[nodiscard]] bool is_open() const noexcept { return handle_ != INVALID_HANDLE_VALUE; }
  ::HANDLE release() noexcept { return std::exchange(handle_, INVALID_HANDLE_VALUE); }

 private:
  ::HANDLE handle_ = INVALID_HANDLE_VALUE;
};

}}}  // namespace kvstore::v1::detail

#endif
