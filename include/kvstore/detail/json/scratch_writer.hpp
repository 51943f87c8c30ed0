// SPDX-License-Identifier: MIT
#pragma once

// A writer for short-lived text.

#include <cstddef>
#include <string_view>

#include "kvstore/detail/base/thread_object.hpp"
#include "kvstore/json_writer.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// A writer kept per thread, for output that is thrown away at once.
class ScratchWriter {
 public:
  ScratchWriter() noexcept { (*writer_).clear(); }
  ScratchWriter(const ScratchWriter&) = delete;
  ScratchWriter& operator=(const ScratchWriter&) = delete;
  ~ScratchWriter() {
    constexpr std::size_t kKeep = std::size_t{1} << 20;  // one huge value must not pin its size per thread
    if ((*writer_).capacity() <= kKeep) writer_.give_back();
  }

  [[nodiscard]] JsonWriter& operator*() noexcept { return *writer_; }
  [[nodiscard]] JsonWriter* operator->() noexcept { return &*writer_; }
  [[nodiscard]] std::string_view text() const noexcept { return (*writer_).text(); }

 private:
  TakenOut<JsonWriter, ScratchWriter> writer_;  // for a codec that needs a second one
};

}}}  // namespace kvstore::v1::detail
