// SPDX-License-Identifier: MIT
#pragma once

// The changes that journals made to their base file, applied while the base file is read, for callers that
// want each key only once.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "kvstore/detail/base/sip_hash.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

/// The changes since a base file, by key, so that each key is passed on only once.
class JournalOverlay final : public LoadSink {
 public:
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t) override {}
  void put(std::string_view key, std::string_view value) override { change({key, value}); }
  void finish() override {}
  void change(const Change& change) override {
    std::optional<std::string> value;
    if (change.value) value.emplace(*change.value);
    changed_.insert_or_assign(std::string{change.key}, std::move(value));
  }
  void clear() override {
    changed_.clear();
    cleared_ = true;
  }

  /// Whether the base file's entry of that name is still valid.
  [[nodiscard]] bool keeps(std::string_view key) const {
    return !cleared_ && (changed_.empty() || !changed_.contains(key));
  }
  void put_all(LoadSink& sink) const {
    for (const auto& [key, value] : changed_) {
      if (value) sink.put(key, *value);
    }
  }

 private:
  std::unordered_map<std::string, std::optional<std::string>, SecretTextHash, std::equal_to<>> changed_;
  bool cleared_ = false;
};

/// Passes on the entries of a base file that an overlay keeps.
class OverlaidSink final : public LoadSink {
 public:
  OverlaidSink(LoadSink& sink, const JournalOverlay& overlay) : sink_{sink}, overlay_{overlay} {}
  void expect(std::uint64_t bytes) override { sink_.expect(bytes); }
  void schema_version(std::uint32_t stored) override { sink_.schema_version(stored); }
  void put(std::string_view key, std::string_view value) override {
    if (overlay_.keeps(key)) sink_.put(key, value);
  }
  void finish() override {
    overlay_.put_all(sink_);
    sink_.finish();
  }
  void change(const Change&) override {}
  void clear() override {}

 private:
  LoadSink& sink_;
  const JournalOverlay& overlay_;
};

}}}  // namespace kvstore::v1::detail
