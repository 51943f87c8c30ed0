// SPDX-License-Identifier: MIT
#pragma once

// A storage of one's own: what kvstore::Storage asks for, in the simplest file that could work. Every entry
// is
// "<bytes of key> <bytes of value>\n", the key, the value; saves replace the file as a whole.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <kvstore/kvstore.hpp>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

class LengthPrefixedFile final : public kvstore::Storage {
 public:
  explicit LengthPrefixedFile(std::filesystem::path path) : path_{std::move(path)} {}

  void load(const kvstore::LoadRequest& request, kvstore::LoadSink& sink) override {
    if (!std::filesystem::exists(path_)) return sink.missing(path_, request);  // an error to a reader
    std::ifstream in{path_, std::ios::binary};
    if (!in) fail("cannot open");
    for (std::size_t key_bytes = 0, value_bytes = 0; in.peek() != EOF;) {
      const auto at = static_cast<std::uint64_t>(in.tellg());
      in >> key_bytes >> value_bytes;
      std::string key(in && in.get() == '\n' ? key_bytes : throw damaged(at), '\0');
      std::string value(value_bytes, '\0');
      if (!in.read(key.data(), std::ssize(key)) || !in.read(value.data(), std::ssize(value)))
        throw damaged(at);
      sink.put(key, value);
    }
  }

  // Asked for `changes` instead, save() would be handed what changed since it last succeeded.
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::everything; }
  [[nodiscard]] bool takes_changes() const noexcept override { return false; }  // so none are recorded

  void save(kvstore::ChangeSource& source) override {
    auto temporary = path_;
    temporary += ".tmp";
    std::ofstream out{temporary, std::ios::binary};
    for (kvstore::Change entry; source.next(entry);) {
      out << entry.key.size() << ' ' << entry.value->size() << '\n' << entry.key << *entry.value;
    }
    out.close();
    if (!out) fail("cannot write");
    sync(temporary);
    std::filesystem::rename(temporary, path_);
    sync(path_.has_parent_path() ? path_.parent_path() : ".");  // or power loss may undo the renaming
  }

  [[nodiscard]] std::filesystem::path path() const override { return path_; }

 private:
  [[nodiscard]] kvstore::CorruptionError damaged(std::uint64_t offset) const {
    return {path_, offset, "expected a whole entry"};
  }
  void sync(const std::filesystem::path& name) const {
    const int file = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = file >= 0 && ::fsync(file) == 0;
    const int error = errno;
    if (file >= 0) ::close(file);
    errno = error;
    if (!synced) fail("cannot sync");
  }
  [[noreturn]] void fail(const char* what) const {
    throw kvstore::StorageError{path_, {errno, std::generic_category()}, what};
  }

  std::filesystem::path path_;
};
