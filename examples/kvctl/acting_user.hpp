// SPDX-License-Identifier: MIT
#pragma once

// As which user kvctl writes. In a folder of somebody else, each name may lead elsewhere at any moment: root
// would write where it leads, for a user who may not. So root goes on as that user, once and for all, and can
// do there what that user can. A service's store then has files of the service, too.

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "outcome.hpp"

namespace kvctl {

inline constexpr ::uid_t kRoot = 0;

/// Follows a name from the root folder on, as the system does, and looks for a user other than root who may
/// exchange one of its parts.
class NameOwner {
 public:
  /// @returns that user, or root
  [[nodiscard]] static ::uid_t of(const std::string& name) {
    NameOwner walk;
    std::error_code error;
    for (const char* suffix : {"", ".journal"}) {
      if (walk.owner_ == kRoot) walk.follow(std::filesystem::absolute(name + suffix, error));
    }
    return walk.owner_;
  }

 private:
  /// More links than the system would follow.
  static constexpr int kMostLinks = 40;

  void follow(const std::filesystem::path& name) {
    folder_ = "/";
    shared_ = false;
    for (auto part = ++name.begin(); part != name.end() && owner_ == kRoot; ++part) {
      if (part->empty() || *part == ".") continue;
      const std::filesystem::path next = *part == ".." ? folder_.parent_path() : folder_ / *part;
      struct ::stat found{};
      if (::lstat(next.c_str(), &found) != 0) return;  // what is not there, nobody exchanges
      note(found);
      if (S_ISLNK(found.st_mode)) return follow_link(next, part, name.end());
      shared_ = S_ISDIR(found.st_mode) && (found.st_mode & (S_IWGRP | S_IWOTH)) != 0;
      folder_ = next;
    }
  }

  /// The owner of a folder may exchange what it holds. So may each who can write to it; of a file in such a
  /// folder, its owner is the one who is meant.
  void note(const struct ::stat& found) {
    if (S_ISDIR(found.st_mode) || shared_) owner_ = found.st_uid;
  }

  template <class Part>
  void follow_link(const std::filesystem::path& link, Part part, Part end) {
    std::error_code error;
    std::filesystem::path target = std::filesystem::read_symlink(link, error);
    if (error || ++links_ > kMostLinks) return;
    if (target.is_relative()) target = folder_ / target;
    while (++part != end) target /= *part;
    follow(target);
  }

  std::filesystem::path folder_;
  bool shared_ = false;  // others may write to folder_
  ::uid_t owner_ = kRoot;
  int links_ = 0;
};

/// "1000 (ada)"
[[nodiscard]] inline std::string name_of_user(::uid_t user) {
  const struct ::passwd* const entry = ::getpwuid(user);
  return std::to_string(user) + (entry == nullptr ? "" : " (" + std::string{entry->pw_name} + ")");
}

/// What is to be said beside an error, since root expects to be allowed everything.
inline std::string acting_note{};

/// Gives up root's rights for good. @throws Failure
inline void become(::uid_t user) {
  acting_note = "; root acts here as user " + name_of_user(user) + ", whose folder or file it is";
  const struct ::passwd* const entry = ::getpwuid(user);
  const auto group = entry == nullptr ? static_cast<::gid_t>(user) : entry->pw_gid;
  const int groups = entry == nullptr ? ::setgroups(0, nullptr) : ::initgroups(entry->pw_name, group);
  if (groups == 0 && ::setresgid(group, group, group) == 0 && ::setresuid(user, user, user) == 0) return;
  const std::error_code error{errno, std::generic_category()};
  throw Failure{kFailed, "cannot act as user " + name_of_user(user) + ": " + error.message()};
}

/// Before a command writes the store or file of that name.
inline void act_as_owner(const std::string& name) {
  if (::geteuid() != kRoot) return;
  if (const ::uid_t owner = NameOwner::of(name); owner != kRoot) become(owner);
}

/// Before a command copies one store into another.
inline void act_as_owner(const std::string& from, const std::string& to) {
  if (::geteuid() != kRoot) return;
  const ::uid_t owner = NameOwner::of(to);
  if (owner == kRoot) return;
  if (NameOwner::of(from) == owner) return become(owner);
  throw Failure{kFailed,
                to + ": root copies nothing into a folder of user " + name_of_user(owner) +
                    ", who could lead the copy elsewhere; write it to a folder of root's and move it"};
}

}  // namespace kvctl
