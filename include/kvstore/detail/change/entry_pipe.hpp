// SPDX-License-Identifier: MIT
#pragma once

// Connects a storage that pushes its entries to one that pulls them, by two threads and two blocks of text,
// whatever the amount of data.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvstore/detail/base/inline.hpp"
#include "kvstore/storage.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

class EntryPipe {
 public:
  /// `for_file`: the entries go to a storage, which refuses the name that JSON files reserve.
  explicit EntryPipe(bool for_file) noexcept : for_file_{for_file} {}

  /// In the thread that pushes: loads `from` into the pipe. `EntryPipe::next` throws its exceptions.
  void fill_from(Storage& from) noexcept;

  /// In the thread that pulls: the schema version of the entries. @throws the exception of the load
  [[nodiscard]] std::uint32_t schema_version();

  /// In the thread that pulls: the next entry. @throws the exception of the load, as soon as there is one
  bool next(Change& change);

  /// The fraction pulled of the bytes that the load expects, 0 to 1; 0 if the load announced no number.
  [[nodiscard]] double fraction() const noexcept;

  /// Tells the thread that pushes to give up, since nobody pulls any more.
  void abandon() noexcept;

 private:
  static constexpr std::size_t kBlock = std::size_t{256} << 10;

  struct Ends {
    std::size_t begin, key, value;
  };
  struct Block {
    std::string text;
    std::vector<Ends> ends;
    void clear() noexcept;
  };
  struct Abandoned {};

  class Sink final : public LoadSink {
   public:
    explicit Sink(EntryPipe& pipe) : pipe_{pipe} {}
    void expect(std::uint64_t bytes) override { pipe_.expected_.store(bytes, std::memory_order_relaxed); }
    void schema_version(std::uint32_t stored) override { pipe_.set_version(stored); }
    KVSTORE_INLINE void put(std::string_view key, std::string_view value) override;
    KVSTORE_INLINE void finish() override;
    void change(const Change&) override { throw_change(); }
    void clear() override { throw_change(); }

   private:
    [[noreturn]] static void throw_change();
    /// No store decodes what is copied, and a damaged value would take the place of a good one.
    static void check_one_value(std::string_view value);
    EntryPipe& pipe_;
  };

  void set_version(std::uint32_t version);

  void hand_over();

  bool take();

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

#ifndef KVSTORE_COMPILED
#include "kvstore/detail/change/entry_pipe.ipp"
#endif
