// SPDX-License-Identifier: MIT

// A store is read while its owner continues to write. Whatever happens between two calls of the reader to the
// operating system, the reader sees a state that the store went through, and never an older one than before.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/fault_file_system.hpp"
#include "support/stride.hpp"
#include "support/temp_folder.hpp"

namespace follower_test {

using support::contents_of;
using support::FaultFileSystem;
using support::TempFolder;
using namespace std::chrono_literals;

namespace {

using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;
using State = std::map<std::string, int>;

/// Other processes can see every save, and no save happens without a call.
const kvstore::Options kOwner{.batch_size = 1, .auto_save_interval = 0s};

kvstore::Options following() {
  kvstore::Options options = kOwner;
  options.read_only = true;
  options.allow_missing = true;  // a JsonFile does not exist before the first save
  return options;
}

/// The actions of the owner meanwhile, and the states that they produce.
class Owner {
 public:
  explicit Owner(std::unique_ptr<kvstore::Storage> storage) : store_{std::move(storage), kOwner} { note(); }

  void step() {
    const int number = static_cast<int>(states_.size());
    switch (number % 6) {
      case 0:
        store_.clear();
        break;
      case 1:
        store_.compact();
        store_.upsert("after compaction", number);
        break;
      case 2: {
        kvstore::WriteBatch<std::string, int> batch;
        batch.upsert("a", number).upsert("b", number);
        store_.apply(batch);
        break;
      }
      case 3:
        store_.upsert("a", number);
        note();
        store_.compact();  // leaves a journal without a step
        return;
      default:
        store_.upsert(std::to_string(number), number);
    }
    note();
  }

  /// The number of the newest state that equals `state`; -1 if there is none.
  [[nodiscard]] std::ptrdiff_t find(const State& state) const {
    const auto found = std::find(states_.rbegin(), states_.rend(), state);
    return found == states_.rend() ? -1 : std::distance(found, states_.rend()) - 1;
  }
  [[nodiscard]] std::ptrdiff_t newest() const { return std::ssize(states_) - 1; }

 private:
  void note() { states_.push_back(contents_of(store_)); }

  Store store_;
  std::vector<State> states_;
};

using Open = std::function<std::unique_ptr<kvstore::Storage>(kvstore::detail::FileSystem&)>;

/// Lets the owner do `first` steps, and another step at each of the reader's calls `nth`, `nth + every`, …
/// while the reader opens or refreshes. @returns whether there was such a call
bool follow(const Open& open, std::size_t first, std::size_t nth, std::size_t every) {
  Owner owner{open(kvstore::detail::system_file_system())};
  for (std::size_t i = 0; i < first; ++i) owner.step();
  FaultFileSystem files;
  std::size_t calls = 0;
  bool met = false;
  files.before_each([&](support::Call, const std::filesystem::path&) {
    if (++calls < nth || (calls - nth) % every != 0 || calls > 60) return;  // later calls pass
    met = true;
    owner.step();
  });
  const std::ptrdiff_t before = owner.newest();
  Store reader{open(files), following()};
  std::ptrdiff_t seen = owner.find(contents_of(reader));
  CHECK(seen >= before);
  for (int round = 0; round < 3; ++round) {
    calls = 0;
    owner.step();
    const std::ptrdiff_t newest = owner.newest();
    reader.refresh();
    const std::ptrdiff_t now = owner.find(contents_of(reader));
    CHECK(now >= newest);
    seen = now;
  }
  return met;
}

}  // namespace

TEST_CASE(
    "Follower: whatever the owner does between two calls, it sees a state that the store went through") {
  const TempFolder folders;
  int number = 0;
  const auto with = [&]<class Storage>(const char* name) {
    for (std::size_t first = 0; first < 6; ++first) {
      const std::size_t every = first % 2 == 0 ? 1000 : first;
      bool met = true;
      for (std::size_t nth = 1; met; nth += support::kRunStride) {
        const auto folder = folders / std::to_string(++number);
        std::filesystem::create_directory(folder);
        INFO(name << ": after " << first << " steps, from call " << nth << " on, every " << every);
        met = follow([&](auto& files) { return std::make_unique<Storage>(folder / "data.json", files); },
                     first, nth, every);
      }
    }
  };
  with.operator()<kvstore::JsonFile>("JsonFile");
  with.operator()<kvstore::JsonJournal>("JsonJournal");
}

}  // namespace follower_test
