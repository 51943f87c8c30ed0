// SPDX-License-Identifier: MIT

// The workload inside QEMU: four processes, one after another, work on one store with several threads, and
// acknowledge each step on the disk itself. All but the second are killed at a random moment.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include "power/descriptor.hpp"
#include "power/record.hpp"
#include "power/script.hpp"
#include "power/setup.hpp"
#include "power/stores.hpp"
#include "support/step_model.hpp"

namespace power { namespace {

using std::chrono::milliseconds;

constexpr std::size_t kLives = 4;
constexpr std::size_t kClosedLife = 1;
constexpr const char* kFolder = "/mnt";
constexpr const char* kDevice = "/dev/vda";

/// Where a process began: the last step of each thread that was there, and the first that it takes itself.
struct Start {
  std::array<std::uint64_t, kMaxThreads> kept{};
  std::array<std::uint64_t, kMaxThreads> next{};
};

/// What outlives a killed process.
struct Shared {
  std::atomic<std::uint64_t> records = 0;
  std::atomic<std::uint64_t> clock = 0;
  std::atomic<bool> stop = false;
  std::array<std::atomic<std::uint64_t>, kMaxThreads> begun{};  // the last step that each thread began
  std::array<Start, kLives> lives{};
};

Shared& make_shared_memory() {
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw_errno("mmap");
  return *new (memory) Shared;
}

/// Puts records on the disk, past the page cache.
class Recorder {
 public:
  Recorder(Shared& shared, const Setup& setup)
      : shared_{shared}, start_{setup.bytes()}, device_{kDevice, O_WRONLY | O_DIRECT} {}

  void post(const Record& record) {
    alignas(kSector) thread_local std::array<char, kSector> sector;
    std::memcpy(sector.data(), &record, kSector);
    const std::uint64_t slot = shared_.records++;
    if (slot + 1000 > kRecords) shared_.stop = true;
    const auto at = static_cast<::off_t>(start_ + slot % kRecords * kSector);
    if (::pwrite(device_.number(), sector.data(), kSector, at) != static_cast<::ssize_t>(kSector))
      throw_errno("pwrite");
  }

 private:
  Shared& shared_;
  std::uint64_t start_;
  Descriptor device_;
};

/// One process at work.
class Life {
 public:
  Life(Shared& shared, Recorder& recorder, const Setup& setup, std::size_t number)
      : shared_{shared}, recorder_{recorder}, setup_{setup}, number_{number} {}

  /// Comes back only if the parent says so.
  void live() {
    open();
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < setup_.threads; ++i) threads.push_back(start([this, i] { work(i); }));
      threads.push_back(start([this] { save_every(milliseconds{setup_.save}, [this] { store_->save(); }); }));
      if (setup_.compact != 0) {
        threads.push_back(
            start([this] { save_every(milliseconds{setup_.compact}, [this] { store_->compact(); }); }));
      }
    }
    store_->close();
    post_marks(RecordKind::closed, returned());
  }

  /// Ends the process: what a thread could not do is the finding of the run.
  [[noreturn]] void give_up(std::string_view words) {
    Record record = make(RecordKind::trouble);
    record.say(words);
    recorder_.post(record);
    std::cout << words << std::endl;
    std::_Exit(1);
  }

 private:
  using Marks = std::array<std::uint64_t, kMaxThreads>;

  template <class Do>
  std::jthread start(const Do& action) {
    return std::jthread{[this, action] {
      try {
        action();
      } catch (const std::exception& error) { give_up(error.what()); }
    }};
  }

  void open() {
    store_ = std::make_unique<Store>(make_storage(setup_, kFolder, false), options_of(setup_));
    const Found found = prints_of(support::contents_of(*store_), setup_.threads);
    if (!found.stranger.empty()) give_up("a kill left a key that nobody has written: " + found.stranger);
    for (std::size_t i = 0; i < setup_.threads; ++i) recognise(i, found.prints[i]);
    Record record = make(RecordKind::opened);
    record.marks = shared_.lives[number_].kept;
    record.next = shared_.lives[number_].next;
    recorder_.post(record);
  }

  /// Finds the step after which a thread's entries look like this, and puts its script there.
  void recognise(std::size_t thread, std::uint64_t print) {
    Start& start = shared_.lives[number_];
    Script& script = scripts_.emplace_back(setup_, thread);
    start.next[thread] = shared_.begun[thread] + 1;
    if (number_ != 0) start.kept[thread] = last_step(script, thread, print);
    returned_[thread] = start.kept[thread];
  }

  std::uint64_t last_step(Script& script, std::size_t thread, std::uint64_t print) {
    for (std::size_t life = 0; life + 1 < number_; ++life)
      script.take(shared_.lives[life].next[thread], shared_.lives[life + 1].kept[thread]);
    const Start& before = shared_.lives[number_ - 1];
    std::uint64_t found = kNone;
    if (script.print() == print) found = before.kept[thread];
    Script at = script;
    for (std::uint64_t step = before.next[thread]; step <= shared_.begun[thread]; ++step) {
      at.take(step, step);
      if (at.print() != print) continue;
      found = step;
      script = at;
    }
    if (found == kNone) give_up("a kill left thread " + std::to_string(thread) + " in no state that it had");
    return found;
  }

  void work(std::size_t thread) {
    Script& script = scripts_[thread];
    for (std::uint64_t number = shared_.lives[number_].next[thread]; !shared_.stop; ++number) {
      shared_.begun[thread] = number;
      Record record = make(RecordKind::step);
      record.thread = thread;
      record.number = number;
      const Step step = script.plan(number);
      record.begin = shared_.clock++;
      perform(step, *store_, thread, setup_.threads);
      record.end = shared_.clock++;
      returned_[thread] = number;
      script.take(step);
      recorder_.post(record);
    }
  }

  template <class Save>
  void save_every(milliseconds pause, const Save& save) {
    while (!shared_.stop) {
      std::this_thread::sleep_for(pause);
      const Marks before = returned();
      save();
      post_marks(RecordKind::saved, before);
    }
  }

  Marks returned() const {
    Marks marks{};
    for (std::size_t i = 0; i < kMaxThreads; ++i) marks[i] = returned_[i];
    return marks;
  }
  void post_marks(RecordKind kind, const Marks& marks) {
    Record record = make(kind);
    record.marks = marks;
    recorder_.post(record);
  }
  Record make(RecordKind kind) const {
    Record record;
    record.kind = kind;
    record.life = static_cast<std::uint32_t>(number_);
    return record;
  }

  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  Shared& shared_;
  Recorder& recorder_;
  const Setup& setup_;
  std::size_t number_;
  std::vector<Script> scripts_;
  std::array<std::atomic<std::uint64_t>, kMaxThreads> returned_{};
  std::unique_ptr<Store> store_;
};

::pid_t begin(Life& life) {
  const ::pid_t child = ::fork();
  if (child < 0) throw_errno("fork");
  if (child != 0) return child;
  try {
    life.live();
  } catch (const std::exception& error) { life.give_up(error.what()); }
  std::_Exit(0);
}

/// @returns whether the process lived until it was ended
bool end(::pid_t child, bool kill, Shared& shared) {
  int status = 0;
  if (::waitpid(child, &status, WNOHANG) == child) return false;
  if (kill)
    ::kill(child, SIGKILL);
  else
    shared.stop = true;
  if (::waitpid(child, &status, 0) != child) throw_errno("waitpid");
  shared.stop = false;
  return kill || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/// Waits for a while, and on a busy machine for longer, until there is work to lose.
void wait_for_work(const Shared& shared, milliseconds span) {
  constexpr std::uint64_t kMinRecords = 60;
  constexpr int kMaxTenths = 150;  // of the span
  const std::uint64_t least = shared.records + kMinRecords;
  std::this_thread::sleep_for(span);
  for (int tenths = 0; tenths < kMaxTenths && shared.records < least; ++tenths)
    std::this_thread::sleep_for(span / 10);
}

bool run(const std::string& words) {
  const Setup setup = parse_setup(words);
  Shared& shared = make_shared_memory();
  Recorder recorder{shared, setup};
  Record first;
  first.kind = RecordKind::setup;
  first.say(words);
  recorder.post(first);
  Random random{setup.seed};
  const std::size_t span = setup.seconds * 1000 / kLives;
  for (std::size_t number = 0; number < kLives; ++number) {
    Life life{shared, recorder, setup, number};
    const ::pid_t child = begin(life);
    wait_for_work(shared, milliseconds{span / 2 + random.below(span)});
    if (!end(child, number != kClosedLife, shared)) return false;
  }
  std::cout << "guest: " << shared.records << " records" << std::endl;
  return true;
}

}  // namespace
}  // namespace power

int main(int argc, char** argv) {
  std::string words;
  for (int i = 1; i < argc; ++i) words += std::string{argv[i]} + ' ';
  try {
    return power::run(words) ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& error) {
    std::cout << "guest: " << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
