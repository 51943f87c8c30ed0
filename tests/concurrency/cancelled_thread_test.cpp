// SPDX-License-Identifier: MIT

// `pthread_cancel` ends threads of the program while they use a store.

#include <pthread.h>

#include <chrono>
#include <functional>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

#ifndef __SANITIZE_THREAD__  // the sanitizer cannot follow a thread that is unwound

namespace cancelled_thread_test {
namespace {

using support::in_child;
using support::TempFolder;
using Store = kvstore::BatchPersistentKeyValueStore<std::string, int>;

const kvstore::Options kEach{.batch_size = 1, .auto_save_interval = std::chrono::milliseconds{0}};

/// A POSIX thread that works until it is cancelled. `cancel` returns how the thread ended.
class Cancelled {
 public:
  explicit Cancelled(std::function<void()> work) : work_{std::move(work)} {
    ::pthread_create(
        &thread_, nullptr,
        [](void* self) -> void* {
          static_cast<Cancelled*>(self)->work_();
          return nullptr;
        },
        this);
  }
  std::string cancel() {
    ::pthread_cancel(thread_);
    void* end = nullptr;
    ::pthread_join(thread_, &end);
    return end == PTHREAD_CANCELED ? "cancelled" : "returned";
  }

 private:
  std::function<void()> work_;
  ::pthread_t thread_{};
};

/// Cancels many threads that write. The store continues to work, and keeps the values that it was given.
template <class Storage>
std::string cancel_writers(const TempFolder& folder) {
  return in_child([&] {
    Store store{std::make_unique<Storage>(folder / "data.json"), kEach};
    std::string ends;
    for (int i = 0; i < 50; ++i) {
      std::binary_semaphore writes{0};
      Cancelled writer{[&] {
        for (int n = 0;; ++n) {
          store.upsert("k", n);
          if (n == i % 5) writes.release();
        }
      }};
      writes.acquire();
      if (writer.cancel() != "cancelled") ends += "not cancelled ";
    }
    store.upsert("k", -1);
    store.close();
    return ends + "closed";
  });
}

}  // namespace

TEST_CASE("Cancelled thread: one that was saving a file leaves the store usable") {
  const TempFolder folder;
  CHECK(cancel_writers<kvstore::JsonFile>(folder) == "closed");
  CHECK(Store{folder / "data.json"}.read("k") == -1);
}

TEST_CASE("Cancelled thread: one that was writing to a journal leaves the store usable") {
  const TempFolder folder;
  CHECK(cancel_writers<kvstore::JsonJournal>(folder) == "closed");
  CHECK(Store{std::make_unique<kvstore::JsonJournal>(folder / "data.json")}.read("k") == -1);
}

}  // namespace cancelled_thread_test

#endif
