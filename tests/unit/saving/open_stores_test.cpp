// SPDX-License-Identifier: MIT

#include "kvstore/detail/saving/open_stores.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "kvstore/detail/base/complaint.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

namespace open_stores_test { namespace {

using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using kvstore::detail::complain;
using kvstore::detail::Loss;
using kvstore::detail::OpenStore;
using kvstore::detail::OpenStores;
using support::in_child;

/// The output of `work` on standard error.
std::string complaints(const std::function<void()>& work) {
  const support::TempFolder folder;
  const auto path = folder / "words";
  in_child([&] {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    support::require_success(::dup2(file, STDERR_FILENO) < 0 ? -1 : 0, "dup2");
    work();
    return std::string{};
  });
  return support::read_file(path);
}

class Store final : public OpenStore {
 public:
  Store(const char* path, std::uint64_t operations) : path_{path}, operations_{operations} {}
  [[nodiscard]] Loss loss() const noexcept override { return {operations_, path_, "it was never closed"}; }

 private:
  const char* path_;
  std::uint64_t operations_;
  OpenStores::Entry entry_{*this};
};

TEST_CASE("Complaint: it is one line that names the file") {
  CHECK(complaints([] { complain("data.json", "12 operations were not saved"); }) ==
        "kvstore: data.json: 12 operations were not saved\n");
}

TEST_CASE("Complaint: a file's name does not make it two lines") {
  CHECK(complaints([] { complain("two\nlines\x1b[1m", "lost"); }) == "kvstore: two lines [1m: lost\n");
}

TEST_CASE("Complaint: one that is too long is cut, and a line all the same") {
  const std::string words = complaints([] { complain(std::string(5000, 'a'), "lost"); });
  CHECK_THAT(words, StartsWith("kvstore: aaa"));
  CHECK_THAT(words, EndsWith("a...\n"));
  CHECK(words.size() == 4001);
}

TEST_CASE("Complaint: without a standard error nothing is said") {
  CHECK(complaints([] {
          ::close(STDERR_FILENO);
          complain("data.json", "lost");
        }).empty());
}

TEST_CASE("Complaint: a standard error that nobody reads does not end the process") {
  CHECK(in_child([] {
          ::signal(SIGPIPE, SIG_DFL);
          std::array<int, 2> ends{};
          support::require_success(::pipe(ends.data()), "pipe");
          ::dup2(ends[1], STDERR_FILENO);
          ::close(ends[0]);
          complain("data.json", "lost");
          return std::string{"alive"};
        }) == "alive");
}

TEST_CASE("Open stores: each that would lose something is told of, and no other") {
  CHECK(complaints([] {
          const Store one{"one.json", 1};
          const Store none{"none.json", 0};
          { const Store gone{"gone.json", 5}; }
          const Store more{"more.json", 12};
          OpenStores::complain_of_all();
        }) ==
        "kvstore: more.json: 12 operations were not saved: it was never closed\n"
        "kvstore: one.json: 1 operation was not saved: it was never closed\n");
}

TEST_CASE("Open stores: they leave the list in any order") {
  const std::string left = GENERATE("abc", "acb", "bac", "bca", "cab", "cba");
  CHECK(complaints([&] {
          std::array<std::optional<Store>, 3> stores;
          for (std::size_t i = 0; i < 3; ++i) stores[i].emplace("x.json", i + 1);
          for (const char which : left) stores[static_cast<std::size_t>(which - 'a')].reset();
          OpenStores::complain_of_all();
          const Store last{"last.json", 9};
          OpenStores::complain_of_all();
        }) == "kvstore: last.json: 9 operations were not saved: it was never closed\n");
}

TEST_CASE("Open stores: a forked child says nothing of its parent's") {
  const Store store{"parent.json", 3};
  CHECK(complaints([] { OpenStores::complain_of_all(); }).empty());
}

TEST_CASE("Open stores: a forked child tells of its own") {
  const Store store{"parent.json", 3};
  CHECK(complaints([] {
          const Store own{"child.json", 2};
          OpenStores::complain_of_all();
        }) == "kvstore: child.json: 2 operations were not saved: it was never closed\n");
}

TEST_CASE("Open stores: a child waits for no thread that was opening a store when it was forked") {
  std::atomic<bool> enough = false;
  const std::jthread other{[&] {
    while (!enough) const Store store{"other.json", 1};
  }};
  int alive = 0;
  for (int i = 0; i < 50; ++i) {
    alive += in_child([] {
               ::alarm(60);
               { const Store store{"child.json", 0}; }
               OpenStores::complain_of_all();
               return std::string{"alive"};
             }) == "alive";
  }
  enough = true;
  CHECK(alive == 50);
}

}  // namespace
}  // namespace open_stores_test
