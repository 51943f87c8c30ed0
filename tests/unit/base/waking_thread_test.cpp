// SPDX-License-Identifier: MIT

// The thread that works when it is woken: it stops, or is left to itself.

#include "kvstore/detail/base/waking_thread.hpp"

#include "kvstore/detail/base/waiting.hpp"
#include "support/catch.hpp"
#include "support/semaphore.hpp"

namespace waking_thread_test {

using kvstore::detail::StandardMeans;
using WakingThread = kvstore::detail::WakingThread<StandardMeans>;

TEST_CASE("WakingThread: one that is left ends after the work under way, and begins no other") {
  support::Semaphore working;
  support::Semaphore go_on;
  int works = 0;
  {
    WakingThread thread{[] { return WakingThread::Delay{}; },
                        [&] {
                          ++works;
                          working.release();
                          go_on.acquire();
                        }};
    thread.wake();
    working.acquire();
    thread.wake();  // for a second time, which does not come
    thread.leave();
    go_on.release();
  }  // joined
  CHECK(works == 1);
}

}  // namespace waking_thread_test
