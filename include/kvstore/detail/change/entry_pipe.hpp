// SPDX-License-Identifier: MIT
#pragma once

// Connects a storage that pushes its entries to one that pulls them, by two threads and two blocks of text,
// whatever the amount of data.

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

#include "kvstore/detail/change/stored_key.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_reader.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class EntryPipe {
 public:
  /// `for_file`: the entries go to a storage, which refuses the name that JSON files reserve.
  explicit EntryPipe(bool for_file) noexcept : for_file_{for_file} {}

  /// In the thread that pushes: loads `from` into the pipe. `EntryPipe::next` throws its exceptions.
  void fill_from(Storage& from) noexcept {
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

  /// In the thread that pulls: the schema version of the entries. @throws the exception of the load
  [[nodiscard]] std::uint32_t schema_version() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return version_known_ || ended_; });
    if (failure_) std::rethrow_exception(failure_);
    return version_;
  }

  /// In the thread that pulls: the next entry. @throws the exception of the load, as soon as there is one
  bool next(Change& change) {
    if (index_ == taken_.ends.size() && !take()) return false;
    const auto [begin, key_end, value_end] = taken_.ends[index_++];
    const std::string_view text = taken_.text;
    pulled_ += value_end - begin;
    change = {text.substr(begin, key_end - begin), text.substr(key_end, value_end - key_end)};
    return true;
  }

  /// The fraction pulled of the bytes that the load expects, 0 to 1; 0 if the load announced no number.
  [[nodiscard]] double fraction() const noexcept {
    const auto expected = static_cast<double>(expected_.load(std::memory_order_relaxed));
    return expected == 0 ? 0 : std::min(1.0, static_cast<double>(pulled_) / expected);
  }

  /// Tells the thread that pushes to give up, since nobody pulls any more.
  void abandon() noexcept {
    const std::scoped_lock lock{mutex_};
    abandoned_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr std::size_t kBlock = std::size_t{256} << 10;

  struct Ends {
    std::size_t begin, key, value;
  };
  struct Block {
    std::string text;
    std::vector<Ends> ends;
    void clear() noexcept {
      text.clear();
      ends.clear();
    }
  };
  struct Abandoned {};

  class Sink final : public LoadSink {
   public:
    explicit Sink(EntryPipe& pipe) : pipe_{pipe} {}
    void expect(std::uint64_t bytes) override { pipe_.expected_.store(bytes, std::memory_order_relaxed); }
    void schema_version(std::uint32_t stored) override { pipe_.set_version(stored); }
    void put(std::string_view key, std::string_view value) override {
      if (pipe_.for_file_) check_stored_text(key);
      check_one_value(value);
      Block& block = pipe_.filling_;
      const std::size_t begin = block.text.size();
      block.text.append(key).append(value);
      block.ends.push_back({begin, begin + key.size(), block.text.size()});
      if (block.text.size() >= kBlock) pipe_.hand_over();
    }
    void finish() override {
      if (!pipe_.filling_.ends.empty()) pipe_.hand_over();
    }
    void change(const Change&) override { throw_change(); }
    void clear() override { throw_change(); }

   private:
    [[noreturn]] static void throw_change() {
      throw UsageError{
          "a storage that is loaded for LoadPurpose::copy hands over each entry once, through put()"};
    }
    /// No store decodes what is copied, and a damaged value would take the place of a good one.
    static void check_one_value(std::string_view value) {
      JsonReader reader{value};
      reader.skip_value();
      reader.finish();
    }
    EntryPipe& pipe_;
  };

  void set_version(std::uint32_t version) {
    const std::scoped_lock lock{mutex_};
    version_ = version;
    version_known_ = true;
    changed_.notify_all();
  }

  void hand_over() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return !ready_ || abandoned_; });
    if (abandoned_) throw Abandoned{};
    version_known_ = true;  // 0 if it was never announced
    ready_.emplace(std::move(filling_));
    filling_ = std::move(spare_);
    filling_.clear();
    changed_.notify_all();
  }

  bool take() {
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

  const bool for_file_;
  Block filling_;  // of the thread that pushes
  Block taken_;    // of the thread that pulls
  std::size_t index_ = 0;
  std::uint64_t pulled_ = 0;  // bytes

  std::atomic<std::uint64_t> expected_ = 0;  // bytes
  std::mutex mutex_;                         // guards what follows
  std::condition_variable changed_;
  std::optional<Block> ready_;
  Block spare_;
  std::uint32_t version_ = 0;
  bool version_known_ = false;
  bool ended_ = false;
  bool abandoned_ = false;
  std::exception_ptr failure_;
};

/// The source at the end of a pipe. Its destructor abandons the pipe.
class PipeSource final : public ChangeSource {
 public:
  explicit PipeSource(EntryPipe& pipe)
      : ChangeSource{SaveScope::everything, pipe.schema_version()}, pipe_{pipe} {}
  ~PipeSource() override { pipe_.abandon(); }
  bool next(Change& change) override { return pipe_.next(change); }
  [[nodiscard]] double fraction() const noexcept override { return pipe_.fraction(); }

 private:
  EntryPipe& pipe_;
};

}}}  // namespace kvstore::v1::detail
