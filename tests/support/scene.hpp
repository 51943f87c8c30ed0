// SPDX-License-Identifier: MIT
#pragma once

// Plays a scene of the lifecycle suite, and inspects the store that it leaves.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/lifecycle_storage.hpp"
#include "support/play.hpp"
#include "support/temp_folder.hpp"

namespace support {

/// The folder of the programs of the lifecycle suite, as set by CMake or the environment.
[[nodiscard]] inline std::string lifecycle_program([[maybe_unused]] const char* variable) {
#ifdef KVSTORE_LIFECYCLE_PLAYER
  return std::string{variable} == "KVSTORE_LIFECYCLE_PLAYER" ? KVSTORE_LIFECYCLE_PLAYER
                                                             : KVSTORE_LIFECYCLE_LIBRARY;
#else
  const char* const path = std::getenv(variable);
  if (path == nullptr) throw std::runtime_error{std::string{"set "} + variable};
  return path;
#endif
}

class Scene {
 public:
  using Lines = std::vector<std::string>;

  Scene(const std::string& name, const std::string& storage) : keeps_all_{storage == "JsonJournal"} {
    Play play{{lifecycle_program("KVSTORE_LIFECYCLE_PLAYER"), name, storage, folder_.path().string(),
               lifecycle_program("KVSTORE_LIFECYCLE_LIBRARY")}};
    Played played = play.watch();
    end_ = std::move(played.end);
    errors_ = std::move(played.errors);
    sort_lines(played.lines);
    look_again(storage);
  }

  [[nodiscard]] const std::string& end() const noexcept { return end_; }
  [[nodiscard]] const std::string& errors() const noexcept { return errors_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_.path(); }

  /// The lines that the scene sent, without acknowledgements.
  [[nodiscard]] const Lines& said() const noexcept { return said_; }
  [[nodiscard]] std::size_t acknowledged() const noexcept { return acknowledged_.size(); }

  /// The acknowledged keys that are missing; the message of the error if the store does not open any more.
  [[nodiscard]] Lines lost() const {
    if (!refusal_.empty()) return {refusal_};
    Lines lost;
    for (const std::string& key : acknowledged_) {
      if (!found_.contains(key)) lost.push_back(key);
    }
    return lost;
  }

  /// The same, beyond the loss that a killed process may cause: none with a journal, otherwise the last keys
  /// of an unfinished batch.
  [[nodiscard]] Lines lost_beyond_a_crash() const {
    Lines lost = this->lost();
    const std::size_t allowed = keeps_all_ || !refusal_.empty() ? 0 : kBatch - 1;
    const std::size_t last = std::min(lost.size(), allowed);
    const bool are_last = std::equal(lost.end() - static_cast<std::ptrdiff_t>(last), lost.end(),
                                     acknowledged_.end() - static_cast<std::ptrdiff_t>(last));
    if (are_last) lost.resize(lost.size() - last);
    return lost;
  }

 private:
  void sort_lines(const std::string& lines) {
    std::istringstream in{lines};
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with('+'))
        acknowledged_.push_back(line.substr(1));
      else
        said_.push_back(line);
    }
  }

  void look_again(const std::string& storage) {
    using Store = kvstore::BatchPersistentKeyValueStore<std::string, nlohmann::json>;
    try {
      Store store{open_lifecycle_storage(storage, folder_.path())};
      store.for_each([this](const std::string& key, const nlohmann::json&) { found_.insert(key); });
    } catch (const kvstore::Error& error) { refusal_ = error.what(); }
  }

  TempFolder folder_;
  bool keeps_all_;
  std::string end_;
  std::string errors_;
  Lines acknowledged_;
  Lines said_;
  std::set<std::string> found_;
  std::string refusal_;
};

}  // namespace support
