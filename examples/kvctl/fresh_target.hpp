// SPDX-License-Identifier: MIT
#pragma once

// A store or file that is to be new. It is written in a folder that only this user may enter, and gets its
// name when it is complete, unless something has taken the name meanwhile. Under its own name, another user
// could put a file of theirs in its place, and would be given the entries.

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "outcome.hpp"
#include "places.hpp"

namespace kvctl {

/// The store that is copied would take the new file for one of its own.
inline void check_not_beside(const Place& source, const Place& fresh) {
  const std::string name = fs::weakly_canonical(fresh.path).string();
  const std::string store = fs::weakly_canonical(source.path).string();
  for (const char* suffix : {".journal", ".journal.next", ".journal.new", ".journal.torn", ".journal.tail",
                             ".lock", ".tmp", "-wal", "-shm", "-journal"}) {
    if (name != store + suffix) continue;
    throw Failure{kUsage, fresh.path.string() + ": has a name that the store " + source.path.string() +
                              " keeps for its own files; name another file"};
  }
}

class FreshTarget {
 public:
  /// `name` is for messages. @throws Failure if nothing can be made beside the place, or the name belongs to
  /// a store beside it
  FreshTarget(const Place& source, Place place, std::string name)
      : final_{std::move(place)}, name_{std::move(name)} {
    check_not_beside(source, final_);
    static_cast<void>(open_to_write(final_));  // it looks at its neighbours
    std::string folder = final_.path.string() + ".new-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) fail("cannot make a folder for it");
    folder_ = folder;
  }
  FreshTarget(const FreshTarget&) = delete;
  FreshTarget& operator=(const FreshTarget&) = delete;
  ~FreshTarget() {
    std::error_code error;
    fs::remove_all(folder_, error);
  }

  /// Where to write it. Nothing may have it open when it is published.
  [[nodiscard]] Place place() const {
    Place inner = final_;
    inner.path = folder_ / final_.path.filename();
    return inner;
  }

  /// Gives the files their names, the store's own last. @throws Failure, and leaves none of them
  void publish() {
    const fs::path main = place().path;
    std::vector<fs::path> made;
    try {
      for (const fs::directory_entry& entry : fs::directory_iterator{folder_}) {
        const fs::path& file = entry.path();
        if (file != main && file.extension() != ".lock" && file.extension() != ".tmp") publish(file, made);
      }
      publish(main, made);
      sync_folder();
    } catch (...) {
      std::error_code error;
      for (const fs::path& file : made) fs::remove(file, error);
      throw;
    }
  }

 private:
  void publish(const fs::path& file, std::vector<fs::path>& made) {
    const fs::path to = final_.path.parent_path() / file.filename();
    made.reserve(made.size() + 1);
    if (::link(file.c_str(), to.c_str()) != 0) {
      if (errno == EEXIST) throw_exists(to);
      // A file system without hard links
      std::error_code error;
      if (fs::exists(fs::symlink_status(to, error))) throw_exists(to);
      if (::rename(file.c_str(), to.c_str()) != 0) fail("cannot name it");
    }
    made.push_back(to);
  }

  [[noreturn]] void throw_exists(const fs::path& file) const {
    const std::string which = file == final_.path ? "" : file.string() + " ";
    throw Failure{kNoSuchKey,
                  name_ + ": " + which + "was made meanwhile, and was left alone; name a new file"};
  }

  void sync_folder() const {
    const fs::path folder = final_.path.parent_path();
    const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = descriptor >= 0 && (::fsync(descriptor) == 0 || errno == EINVAL);
    const int error = errno;
    if (descriptor >= 0) ::close(descriptor);
    errno = error;
    if (!synced) fail("cannot make its name durable");
  }

  [[noreturn]] void fail(const char* what) const {
    const std::error_code error{errno, std::generic_category()};
    throw Failure{kFailed, name_ + ": " + what + ": " + error.message()};
  }

  Place final_;
  std::string name_;
  fs::path folder_;
};

}  // namespace kvctl
