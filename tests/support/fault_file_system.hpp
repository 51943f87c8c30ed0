// SPDX-License-Identifier: MIT
#pragma once

// A file system that counts its calls, shows each of them to the test, and fails the calls that the test
// names.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/file/native.hpp"

namespace support {

enum class Call {
  open,
  read,
  write,
  sync,
  truncate,
  allocate,
  map,
  file_status,
  set_mode,
  set_owner,
  try_lock,
  close,
  status,
  read_link,
  rename,
  remove,
  sync_folder,
  check_writable,
  current_folder,
};
inline constexpr std::size_t kCallKinds = static_cast<std::size_t>(Call::current_folder) + 1;

/// The effect of a call that fails.
enum class Effect {
  none,     ///< the call is not made
  partial,  ///< half of a read or write is done (other calls: as `none`); without an error, a short transfer
  full,     ///< the call is made, and reported as failed all the same
};

struct Fault {
  std::uint64_t nth = 1;       ///< the call that fails, counted from 1 since `inject`
  std::error_code error{};     ///< the reported error; empty only with `Effect::partial`
  std::optional<Call> call{};  ///< if given, only this kind of call is counted and fails
  Effect effect = Effect::none;
  bool forever = false;  ///< later calls fail as well
};

/// Passes calls on to another file system, by default the real one. *Thread safety*: safe for several
/// threads.
///
/// ```cpp
/// support::FaultFileSystem files;
/// files.inject({.nth = 2, .error = std::make_error_code(std::errc::io_error), .call =
/// support::Call::write}); kvstore::JsonFile storage{path, files};
/// ```
class FaultFileSystem : public kvstore::detail::FileSystem {
 public:
  template <class Value>
  using Result = kvstore::detail::Result<Value>;
  using Path = std::filesystem::path;

  explicit FaultFileSystem(kvstore::detail::FileSystem& real = kvstore::detail::system_file_system())
      : real_{real} {}

  /// Arms a fault, in place of the previous one.
  void inject(const Fault& fault) {
    const std::lock_guard guard{mutex_};
    fault_ = fault;
    matched_ = 0;
    failed_ = 0;
  }
  void heal() {
    const std::lock_guard guard{mutex_};
    fault_.reset();
  }

  /// The number of calls since the last `reset_counts`, of all kinds or of one kind.
  [[nodiscard]] std::uint64_t count() const {
    const std::lock_guard guard{mutex_};
    std::uint64_t sum = 0;
    for (const std::uint64_t calls : counts_) sum += calls;
    return sum;
  }
  [[nodiscard]] std::uint64_t count(Call call) const {
    const std::lock_guard guard{mutex_};
    return counts_[static_cast<std::size_t>(call)];
  }
  void reset_counts() {
    const std::lock_guard guard{mutex_};
    counts_ = {};
  }
  /// The number of calls that failed since `inject`.
  [[nodiscard]] std::uint64_t failed() const {
    const std::lock_guard guard{mutex_};
    return failed_;
  }

  /// Runs `hook` before each call, under no lock. There, a test may inspect the files, end the process, or
  /// stop the thread. Set the hook before other threads use this object.
  void before_each(std::function<void(Call, const Path&)> hook) { hook_ = std::move(hook); }

  /// Runs `hook` on what each read has got, which it may change. Set as `before_each`.
  void after_reads(std::function<void(const Path&, std::span<char>)> hook) { read_hook_ = std::move(hook); }

  Result<std::unique_ptr<kvstore::detail::File>> open(const Path& path, kvstore::detail::OpenMode mode,
                                                      std::uint32_t permissions) override;
  Result<kvstore::detail::FileStatus> status(const Path& path) override {
    return run<Result<kvstore::detail::FileStatus>>(Call::status, path, [&] { return real_.status(path); });
  }
  Result<Path> read_link(const Path& path) override {
    return run<Result<Path>>(Call::read_link, path, [&] { return real_.read_link(path); });
  }
  std::error_code rename(const Path& from, const Path& to) override {
    return run<std::error_code>(Call::rename, to, [&] { return real_.rename(from, to); });
  }
  std::error_code remove(const Path& path) override {
    return run<std::error_code>(Call::remove, path, [&] { return real_.remove(path); });
  }
  std::error_code sync_folder(const Path& path) override {
    return run<std::error_code>(Call::sync_folder, path, [&] { return real_.sync_folder(path); });
  }
  std::error_code check_writable_file(const Path& path) override { return real_.check_writable_file(path); }
  std::error_code check_writable(const Path& path) override {
    return run<std::error_code>(Call::check_writable, path, [&] { return real_.check_writable(path); });
  }
  std::error_code check_syncable(const Path& path) override {
    return run<std::error_code>(Call::check_writable, path, [&] { return real_.check_syncable(path); });
  }
  Result<Path> current_folder() override {
    return run<Result<Path>>(Call::current_folder, {}, [&] { return real_.current_folder(); });
  }
  Result<std::string> acl(const Path& path) override { return real_.acl(path); }
  [[nodiscard]] long process_id() override { return real_.process_id(); }
  [[nodiscard]] std::uint32_t user_id() override { return real_.user_id(); }

  /// Counts a call, and decides how it fails.
  std::optional<Fault> enter(Call call, const Path& path) {
    if (hook_) hook_(call, path);
    const std::lock_guard guard{mutex_};
    ++counts_[static_cast<std::size_t>(call)];
    if (!fault_ || (fault_->call && *fault_->call != call)) return std::nullopt;
    ++matched_;
    if (matched_ != fault_->nth && !(fault_->forever && matched_ > fault_->nth)) return std::nullopt;
    ++failed_;
    return fault_;
  }

  void show_read(const Path& path, std::span<char> got) const {
    if (read_hook_) read_hook_(path, got);
  }

  /// Makes a call that cannot be done by halves, or fails it.
  template <class Outcome, class Make>
  Outcome run(Call call, const Path& path, const Make& make) {
    const auto fault = enter(call, path);
    if (!fault || !fault->error) return make();
    if (fault->effect == Effect::full) static_cast<void>(make());
    return failure<Outcome>(fault->error);
  }

 private:
  template <class Outcome>
  static Outcome failure(std::error_code error) {
    if constexpr (std::is_same_v<Outcome, std::error_code>) {
      return error;
    } else {
      Outcome outcome;
      outcome.error = error;
      return outcome;
    }
  }

  kvstore::detail::FileSystem& real_;
  std::function<void(Call, const Path&)> hook_;
  std::function<void(const Path&, std::span<char>)> read_hook_;
  mutable std::mutex mutex_;  // guards the members below
  std::array<std::uint64_t, kCallKinds> counts_{};
  std::optional<Fault> fault_;
  std::uint64_t matched_ = 0;
  std::uint64_t failed_ = 0;
};

/// An open file of a `FaultFileSystem`.
class FaultFile : public kvstore::detail::File {
 public:
  template <class Value>
  using Result = kvstore::detail::Result<Value>;

  FaultFile(FaultFileSystem& files, std::filesystem::path path, std::unique_ptr<kvstore::detail::File> real)
      : files_{files}, path_{std::move(path)}, real_{std::move(real)} {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
    const auto got =
        transfer(Call::read, out, [&](std::span<char> part) { return real_->read_at(offset, part); });
    files_.show_read(path_, out.first(got.value));
    return got;
  }
  Result<std::size_t> write_at(std::uint64_t offset, std::string_view text) override {
    return transfer(Call::write, text, [&](std::string_view part) { return real_->write_at(offset, part); });
  }
  std::error_code sync() override {
    return run(Call::sync, [&] { return real_->sync(); });
  }
  std::error_code truncate(std::uint64_t size) override {
    return run(Call::truncate, [&] { return real_->truncate(size); });
  }
  std::error_code allocate(std::uint64_t offset, std::uint64_t bytes) override {
    return run(Call::allocate, [&] { return real_->allocate(offset, bytes); });
  }
  /// A store into the mapping is not a call, and so does not fail.
  Result<std::unique_ptr<kvstore::detail::Mapping>> map(std::uint64_t offset, std::size_t bytes) override {
    return files_.run<Result<std::unique_ptr<kvstore::detail::Mapping>>>(
        Call::map, path_, [&] { return real_->map(offset, bytes); });
  }
  Result<kvstore::detail::FileStatus> status() override {
    return files_.run<Result<kvstore::detail::FileStatus>>(Call::file_status, path_,
                                                           [&] { return real_->status(); });
  }
  std::error_code set_mode(std::uint32_t mode) override {
    return run(Call::set_mode, [&] { return real_->set_mode(mode); });
  }
  std::error_code set_owner(std::uint32_t owner, std::uint32_t group) override {
    return run(Call::set_owner, [&] { return real_->set_owner(owner, group); });
  }
  Result<std::string> acl() override { return real_->acl(); }
  std::error_code set_acl(std::string_view acl) override { return real_->set_acl(acl); }
  std::error_code try_lock() override {
    return run(Call::try_lock, [&] { return real_->try_lock(); });
  }
  std::error_code try_lock_to_write() override {
    return run(Call::try_lock, [&] { return real_->try_lock_to_write(); });
  }
  std::error_code check_no_writer() override {
    return run(Call::try_lock, [&] { return real_->check_no_writer(); });
  }
  void unlock() noexcept override { real_->unlock(); }
  /// Closes the file in any case, as a real close does even if it fails.
  std::error_code close() override {
    const auto fault = files_.enter(Call::close, path_);
    const std::error_code error = real_->close();
    return fault && fault->error ? fault->error : error;
  }

 private:
  template <class Make>
  std::error_code run(Call call, const Make& make) {
    return files_.run<std::error_code>(call, path_, make);
  }

  template <class Bytes, class Make>
  Result<std::size_t> transfer(Call call, Bytes bytes, const Make& make) {
    const auto fault = files_.enter(call, path_);
    if (!fault) return make(bytes);
    if (fault->effect == Effect::none) return {0, fault->error};
    if (fault->effect == Effect::partial) bytes = half(bytes);
    auto done = make(bytes);
    if (fault->error) return {0, fault->error};
    return done;
  }

  static std::string_view half(std::string_view text) { return text.substr(0, (text.size() + 1) / 2); }
  static std::span<char> half(std::span<char> out) { return out.first((out.size() + 1) / 2); }

  FaultFileSystem& files_;
  std::filesystem::path path_;
  std::unique_ptr<kvstore::detail::File> real_;
};

inline kvstore::detail::Result<std::unique_ptr<kvstore::detail::File>> FaultFileSystem::open(
    const Path& path, kvstore::detail::OpenMode mode, std::uint32_t permissions) {
  using Opened = Result<std::unique_ptr<kvstore::detail::File>>;
  auto opened = run<Opened>(Call::open, path, [&] { return real_.open(path, mode, permissions); });
  if (opened.error) return opened;
  return {std::make_unique<FaultFile>(*this, path, std::move(opened.value)), {}};
}

}  // namespace support
