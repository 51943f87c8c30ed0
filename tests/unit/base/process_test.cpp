// SPDX-License-Identifier: MIT

#include "kvstore/detail/base/process.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/semaphore.hpp"

namespace process_test { namespace {

using kvstore::detail::ForkGuard;
using kvstore::detail::LeftToParent;
using support::in_child;

std::string foreign(const ForkGuard& guard) {
  return std::string{guard.is_foreign() ? "foreign" : "home"} +
         (guard.is_foreign_by_id() ? ", foreign" : ", home");
}

TEST_CASE("ForkGuard: it is at home in the process that made it, before and after a fork") {
  const ForkGuard guard;
  CHECK(foreign(guard) == "home, home");
  in_child([] { return std::string{}; });
  CHECK(foreign(guard) == "home, home");
}

TEST_CASE("ForkGuard: in a forked child it is foreign") {
  const ForkGuard guard;
  CHECK(in_child([&] { return foreign(guard); }) == "foreign, foreign");
}

TEST_CASE("ForkGuard: one that a child made is at home there, and foreign in the child's child") {
  CHECK(in_child([] {
          const ForkGuard guard;
          return foreign(guard) + "; " + in_child([&] { return foreign(guard); });
        }) == "home, home; foreign, foreign");
}

TEST_CASE("ForkGuard: a copy remembers the maker, not the copier") {
  const ForkGuard guard;
  CHECK(in_child([&] {
          const ForkGuard copy = guard;  // NOLINT(performance-unnecessary-copy-initialization)
          return foreign(copy);
        }) == "foreign, foreign");
}

#ifndef __SANITIZE_THREAD__  // the sanitizer cannot follow a child that a system call makes
TEST_CASE("ForkGuard: the id tells of a child that no handler has seen") {
  const ForkGuard guard;
  const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) ::_exit(guard.is_foreign_by_id() ? 0 : 1);
  int status = -1;
  REQUIRE(::waitpid(static_cast<::pid_t>(child), &status, 0) == child);
  CHECK(status == 0);
}
#endif

struct Counted {
  explicit Counted(int& count) : ends{count} {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { ++ends; }
  int& ends;
};

TEST_CASE("LeftToParent: its maker destroys the object") {
  int ends = 0;
  { const LeftToParent<Counted> object{std::in_place, ends}; }
  CHECK(ends == 1);
}

TEST_CASE("LeftToParent: a forked child leaves the object alone") {
  int ends = 0;
  auto object = std::make_unique<LeftToParent<Counted>>(std::in_place, ends);
  CHECK(in_child([&] {
          object.reset();
          return std::to_string(ends);
        }) == "0");
  CHECK(ends == 0);
  object.reset();
  CHECK(ends == 1);
}

TEST_CASE("LeftToParent: a child's own object takes the place of the parent's, and ends there") {
  int theirs = 0;
  LeftToParent<Counted> object{std::in_place, theirs};
  CHECK(in_child([&] {
          int own = 0;
          object.emplace(own);
          object.reset();
          return std::to_string(theirs) + " " + std::to_string(own) + (object ? " more" : "");
        }) == "0 1");
}

TEST_CASE("LeftToParent: what was moved is destroyed once") {
  int ends = 0;
  {
    LeftToParent<Counted> first{std::in_place, ends};
    LeftToParent<Counted> second;
    CHECK_FALSE(second);
    second = std::move(first);
    CHECK(&second->ends == &ends);
    CHECK(&(*second).ends == &ends);
    const LeftToParent<Counted> third{std::move(second)};
    CHECK(ends == 0);
  }
  CHECK(ends == 1);
}

struct Worker {
  Worker() { holds.acquire(); }
  ~Worker() {
    end.release();
    { const std::scoped_lock lock{mutex}; }
    thread.join();
  }
  std::mutex mutex;
  support::Semaphore holds;
  support::Semaphore end;
  std::thread thread{[this] {
    const std::scoped_lock lock{mutex};
    holds.release();
    end.acquire();
  }};
};

TEST_CASE("LeftToParent: a child waits for no lock of a thread that is not there") {
  LeftToParent<Worker> worker{std::in_place};
  CHECK(in_child([&] {
          ::alarm(60);
          worker.reset();
          return std::string{"ended"};
        }) == "ended");
}

}  // namespace
}  // namespace process_test
