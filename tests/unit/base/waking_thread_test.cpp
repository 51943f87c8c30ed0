// SPDX-License-Identifier: MIT

// The thread that works when it is woken: it stops, or is left to itself.

#include "kvstore/detail/base/waking_thread.hpp"

#include <semaphore>

#include "kvstore/detail/base/waiting.hpp"
#include "support/catch.hpp"

namespace waking_thread_test {

using kvstore::detail::StandardMeans;
using WakingThread = kvstore::detail::WakingThread<StandardMeans>;

/// Tells when its thread has ended.
struct AtThreadExit {
  std::binary_semaphore* ended;
  ~AtThreadExit() { ended->release(); }
};

TEST_CASE("WakingThread: one that is left ends after the work under way, and begins no other") {
  std::binary_semaphore working{0};
  std::binary_semaphore go_on{0};
  std::binary_semaphore ended{0};
  int works = 0;
  WakingThread thread{[] { return WakingThread::Delay{}; },
                      [&] {
                        thread_local const AtThreadExit exit{&ended};
                        ++works;
                        working.release();
                        go_on.acquire();
                      }};
  thread.wake();
  working.acquire();
  thread.wake();  // for a second time, which does not come
  thread.leave();
  go_on.release();
  ended.acquire();
  CHECK(works == 1);
}

}  // namespace waking_thread_test
