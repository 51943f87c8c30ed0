// SPDX-License-Identifier: MIT

// The window of a journal in which threads put lines without a lock: every order in which they can reach its
// two words, up to a number of preemptions, and the memory that a kill would leave at each return.

#include "kvstore/detail/contract/line_window.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "concurrency/toy_search.hpp"
#include "support/catch.hpp"
#include "support/schedule_search.hpp"
#include "support/scheduler.hpp"

namespace line_window_test {

using kvstore::detail::BasicLineWindow;
using kvstore::detail::LinePieces;
using support::Scheduler;
using support::Search;
using toy_search::require;
using toy_search::search;

namespace {

/// Words at whose accesses another task may continue, before and after a change.
struct ScheduledWords {
  class Word {
   public:
    explicit Word(std::uint64_t value) : value_{value} {}

    [[nodiscard]] std::uint64_t load(std::memory_order) const {
      point("load");
      return value_;
    }
    void store(std::uint64_t value, std::memory_order) {
      point("store");
      value_ = value;
      point("stored");
    }
    bool compare_exchange_weak(std::uint64_t& expected, std::uint64_t value, std::memory_order,
                               std::memory_order) {
      point("exchange");
      if (value_ != expected) {
        expected = value_;
        return false;
      }
      value_ = value;
      point("exchanged");
      return true;
    }
    std::uint64_t fetch_or(std::uint64_t bits, std::memory_order) {
      point("or");
      return std::exchange(value_, value_ | bits);
    }
    std::uint64_t fetch_add(std::uint64_t more, std::memory_order) {
      point("add");
      return std::exchange(value_, value_ + more);
    }

   private:
    friend ScheduledWords;
    static void point(const char* what) {
      if (Scheduler* const run = Scheduler::current()) run->point(what);
    }
    std::uint64_t value_;
  };

  template <class Done>
  static std::uint64_t await(const Word& word, const Done& done) {
    struct Wait {
      const Word& word;
      const Done& done;
    };
    const Wait wait{word, done};
    Scheduler* const run = Scheduler::current();
    if (run != nullptr) {
      run->wait(
          "await",
          [](const void* object) {
            const auto& one = *static_cast<const Wait*>(object);
            return one.done(one.word.value_);
          },
          &wait);
    }
    return word.value_;
  }
};

/// Lines as they are, so that they can be read in the memory.
struct PlainLines {
  struct Mask {};
  static void store(char* memory, std::uint64_t position, const LinePieces& line, const Mask&) {
    std::copy_n(line.rest.data(), line.rest.size(),
                std::copy_n(line.checksum.data(), line.checksum.size(), memory + position));
  }
};

using Window = BasicLineWindow<ScheduledWords, PlainLines>;
using StandardWindow = BasicLineWindow<kvstore::detail::StandardWords, PlainLines>;
constexpr std::size_t kBytes = 8;
using Memory = std::array<char, kBytes>;

/// Where the first hole begins.
std::string_view lines_in(const Memory& memory) {
  const auto hole = std::find(memory.begin(), memory.end(), '\0');
  return {memory.data(), static_cast<std::size_t>(hole - memory.begin())};
}

/// Puts a line of two pieces. @returns the number of its operation, or 0
std::uint32_t put(Window& window, std::string_view line, std::uint32_t operations = 1) {
  std::uint32_t last = 0;
  return window.put({line.substr(0, 1), line.substr(1)}, operations, last) ? last : 0;
}

struct Put {
  char letter;
  std::uint32_t number;
};

}  // namespace

TEST_CASE("LineWindow: when a line was put, no hole lies before it, in whatever order threads go on") {
  const auto found = search({.preemptions = 3}, [](Scheduler& run) {
    Window window;
    Memory memory{};
    window.set_size(kBytes);
    window.open(memory.data(), 0, {});
    std::vector<Put> puts;
    const auto writer = [&](char letter) {
      return [&, letter] {
        for (const std::size_t bytes : {2U, 1U}) {
          const std::uint32_t number = put(window, std::string(bytes, letter));
          require(number != 0, "a line was refused though there is room");
          const std::string_view there = lines_in(memory);  // what a kill would leave now
          const auto mine = static_cast<std::size_t>(std::count(there.begin(), there.end(), letter));
          require(mine >= (bytes == 2 ? 2U : 3U), "a line that was put lies behind a hole");
          puts.push_back({letter, number});
        }
      };
    };
    run.run_together({{"a", writer('a')}, {"b", writer('b')}});
    std::sort(puts.begin(), puts.end(), [](const Put& a, const Put& b) { return a.number < b.number; });
    std::string in_order;
    std::string seen;
    for (const Put& one : puts) {
      const bool first = in_order.find(one.letter) == std::string::npos;
      in_order += std::string(first ? 2 : 1, one.letter);
    }
    require(lines_in(memory) == in_order, "the lines have another order than their numbers");
    require(puts.size() == 4 && puts.back().number == 4, "the numbers are not 1 to 4");
    require(window.settled().bytes == 6 && window.settled().last == 4, "settled has missed a line");
  });
  CHECK(found.finding.value_or(support::Finding{}).what == "");
  CHECK(found.schedules > 1000);
}

TEST_CASE("LineWindow: a line is in the old window, in the new one, or refused, and never in both or torn") {
  const auto found = search({.preemptions = 3}, [](Scheduler& run) {
    Window window;
    Memory old{};
    Memory next{};
    window.set_size(kBytes);
    window.open(old.data(), 0, {});
    std::string taken;
    const auto writer = [&](char letter) {
      return [&, letter] {
        for (int i = 0; i < 2; ++i) {
          if (put(window, std::string(2, letter)) != 0) taken += std::string(2, letter);
        }
      };
    };
    const auto owner = [&] {
      window.close();
      const auto lines = window.settled();
      const std::string_view there = lines_in(old);
      require(there.size() == lines.bytes, "a line is still on its way after settled()");
      require(lines.last * 2 == lines.bytes, "the number of the last line is another one");
      window.count(1);  // of a line that goes elsewhere
      require(lines_in(old).size() == lines.bytes, "a line came after settled()");
      window.open(next.data(), 0, {});
    };
    run.run_together({{"a", writer('a')}, {"b", writer('b')}, {"owner", owner}});
    std::string both{lines_in(old)};
    both += lines_in(next);
    require(window.number() == both.size() / 2 + 1, "a number was given twice or left out");
    std::sort(both.begin(), both.end());
    std::sort(taken.begin(), taken.end());
    require(both == taken, "not exactly the lines that were taken are there");
  });
  CHECK(found.finding.value_or(support::Finding{}).what == "");
  CHECK(found.schedules > 1000);
}

TEST_CASE("LineWindow: a line without room is refused, and a closed window takes none") {
  StandardWindow window;
  Memory memory{};
  window.set_size(kBytes);
  std::uint32_t last = 0;
  CHECK_FALSE(window.is_open());
  CHECK_FALSE(window.put({"a", "b"}, 1, last));
  CHECK(window.count(7) == 7);
  window.open(memory.data(), 3, {});
  CHECK(window.is_open());
  CHECK_FALSE(window.put({"abc", "def"}, 1, last));
  CHECK(window.put({"ab", "cde"}, 2, last));
  CHECK(last == 9);
  CHECK_FALSE(window.put({"", "f"}, 1, last));
  CHECK(window.settled().bytes == 8);
  CHECK(window.number() == 9);
  CHECK(std::string_view{memory.data() + 3, 5} == "abcde");
  window.close();
  CHECK_FALSE(window.put({"", ""}, 1, last));
}

TEST_CASE("LineWindow: numbers go on beyond 32 bits") {
  StandardWindow window;
  Memory memory{};
  window.set_size(kBytes);
  window.count(0xFFFF'FFFF);
  window.open(memory.data(), 0, {});
  std::uint32_t last = 1;
  CHECK(window.put({"a", "b"}, 1, last));
  CHECK(last == 0);
  CHECK(window.settled().last == 0);
  CHECK(window.settled().bytes == 2);
}

TEST_CASE("LineWindow: many threads put lines while the window is exchanged") {
  constexpr std::size_t kSize = 4096;
  constexpr int kThreads = 4;
  constexpr int kLines = 20'000;
  StandardWindow window;
  std::vector<std::string> memories;
  std::string current(kSize, '\0');
  window.set_size(kSize);
  window.open(current.data(), 0, {});
  std::atomic<int> running = kThreads;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::uint32_t last = 0;
        const std::string line(static_cast<std::size_t>(t) + 2, static_cast<char>('a' + t));
        for (int i = 0; i < kLines;) {
          if (window.put({std::string_view{line}.substr(0, 1), std::string_view{line}.substr(1)}, 1, last))
            ++i;
          else
            std::this_thread::yield();
        }
        --running;
      });
    }
    while (running != 0) {
      window.close();
      current.resize(window.settled().bytes);
      memories.push_back(std::exchange(current, std::string(kSize, '\0')));
      window.open(current.data(), 0, {});
      std::this_thread::yield();
    }
  }
  current.resize(window.settled().bytes);
  memories.push_back(current);
  std::array<std::size_t, kThreads> counts{};
  for (const std::string& memory : memories) {
    for (std::size_t at = 0; at < memory.size();) {
      const auto t = static_cast<std::size_t>(memory[at] - 'a');
      REQUIRE(t < kThreads);
      REQUIRE(memory.substr(at, t + 2) == std::string(t + 2, memory[at]));
      at += t + 2;
      ++counts[t];
    }
  }
  for (const std::size_t count : counts) CHECK(count == kLines);
  CHECK(window.number() == std::uint32_t{kThreads} * kLines);
}

}  // namespace line_window_test
