// SPDX-License-Identifier: MIT
#pragma once

// The definitions of entry_pipe.hpp.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/detail/change/entry_pipe.hpp"
#include "kvstore/detail/change/stored_key.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

KVSTORE_INLINE void EntryPipe::fill_from(Storage& from) noexcept {
  Sink sink{*this};
  std::exception_ptr failure;
  try {
    from.load({.purpose = LoadPurpose::copy}, sink);
    sink.finish();
  } catch (const ParseError& error) {
    failure = std::make_exception_ptr(CorruptionError{from.path(), error.offset(), error.what()});
  } catch (...) { failure = std::current_exception(); }
  const std::scoped_lock lock{mutex_};
  ended_ = true;
  failure_ = failure;
  changed_.notify_all();
}

KVSTORE_INLINE std::uint32_t EntryPipe::schema_version() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return version_known_ || ended_; });
  if (failure_) std::rethrow_exception(failure_);
  return version_;
}

KVSTORE_INLINE bool EntryPipe::next(Change& change) {
  if (index_ == taken_.ends.size() && !take()) return false;
  const auto [begin, key_end, value_end] = taken_.ends[index_++];
  const std::string_view text = taken_.text;
  pulled_ += value_end - begin;
  change = {text.substr(begin, key_end - begin), text.substr(key_end, value_end - key_end)};
  return true;
}

KVSTORE_INLINE double EntryPipe::fraction() const noexcept {
  const auto expected = static_cast<double>(expected_.load(std::memory_order_relaxed));
  return expected == 0 ? 0 : std::min(1.0, static_cast<double>(pulled_) / expected);
}

KVSTORE_INLINE void EntryPipe::abandon() noexcept {
  const std::scoped_lock lock{mutex_};
  abandoned_ = true;
  changed_.notify_all();
}

KVSTORE_INLINE void EntryPipe::Block::clear() noexcept {
  text.clear();
  ends.clear();
}

KVSTORE_INLINE void EntryPipe::Sink::put(std::string_view key, std::string_view value) {
  if (pipe_.for_file_) check_stored_text(key);
  check_one_value(value);
  Block& block = pipe_.filling_;
  const std::size_t begin = block.text.size();
  block.text.append(key).append(value);
  block.ends.push_back({begin, begin + key.size(), block.text.size()});
  if (block.text.size() >= kBlock) pipe_.hand_over();
}

KVSTORE_INLINE void EntryPipe::Sink::finish() {
  if (!pipe_.filling_.ends.empty()) pipe_.hand_over();
}

KVSTORE_INLINE void EntryPipe::Sink::throw_change() {
  throw UsageError{
      "a storage that is loaded for LoadPurpose::copy hands over each entry once, through put()"};
}

KVSTORE_INLINE void EntryPipe::Sink::check_one_value(std::string_view value) {
  JsonReader reader{value};
  reader.skip_value();
  reader.finish();
}

KVSTORE_INLINE void EntryPipe::set_version(std::uint32_t version) {
  const std::scoped_lock lock{mutex_};
  version_ = version;
  version_known_ = true;
  changed_.notify_all();
}

KVSTORE_INLINE void EntryPipe::hand_over() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return !ready_ || abandoned_; });
  if (abandoned_) throw Abandoned{};
  version_known_ = true;  // 0 if it was never announced
  ready_.emplace(std::move(filling_));
  filling_ = std::move(spare_);
  filling_.clear();
  changed_.notify_all();
}

KVSTORE_INLINE bool EntryPipe::take() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return ready_ || ended_; });
  if (failure_) std::rethrow_exception(failure_);
  if (!ready_) return false;
  spare_ = std::exchange(taken_, std::move(*ready_));
  ready_.reset();
  index_ = 0;
  changed_.notify_all();
  return true;
}

}}}  // namespace kvstore::v1::detail
