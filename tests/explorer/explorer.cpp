// SPDX-License-Identifier: MIT

// Explores the simultaneous actions of several tasks on a store: every schedule within limits, on request
// with a failing disk. In each schedule, every promise of the store must hold. This is a program of its own,
// since a complete exploration takes minutes to hours.

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "explorer/binding.hpp"
#include "explorer/regular.hpp"
#include "explorer/scenarios.hpp"
#include "support/schedule_search.hpp"
#include "support/scheduler.hpp"
#include "support/search_terms.hpp"

namespace {

using explorer::Scenario;
using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

constexpr std::string_view kUsage = R"(Usage: explorer [OPTION]...
Runs scenarios of several tasks on one store by every schedule, and checks each promise of the store.

  --scenario NAME    only those whose name contains NAME; if one is called so, only that
  --preemptions P    at most P switches away from a task that could have gone on (default 1)
  --time-outs T      at most T waits that time out although a task could have gone on (default 1)
  --faults           one call to the disk fails in a run, each in turn
  --crashes          looks at what a crash leaves at every call, not only after each operation
  --every-lock       locks of the data and unlocks are points as well
  --split-syncs      two syncs of a file may be under way at once
  --no-reads         calls to the disk that change nothing are no points
  --seconds N        stops after N seconds, which the scenarios share
  --replay SCHEDULE  runs one schedule of one scenario, and shows each point
  --list             shows the names of the scenarios
  --regular          what the regular checks explore, all of it; no other option goes with it
)";

struct Arguments {
  std::string scenario;
  std::string replay;
  support::SearchLimits limits;
  double seconds = 0;  // 0: no limit
  support::ScheduledCalls calls;
  bool crashes = false;
  bool list = false;
  bool regular = false;
};

/// A scenario, the limits of its exploration, and the options that set these limits.
struct Task {
  Scenario scenario;
  support::SearchLimits limits;
  std::string options;
};

template <class Number>
Number number(std::string_view text) {
  Number result{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), result);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) {
    throw std::invalid_argument{"not a number: " + std::string{text}};
  }
  return result;
}

Arguments parse(const std::vector<std::string>& words) {
  Arguments result;
  std::size_t next = 0;
  const auto value = [&] {
    if (next == words.size()) throw std::invalid_argument{words[next - 1] + " needs a value"};
    return words[next++];
  };
  while (next < words.size()) {
    const std::string& word = words[next++];
    if (word == "--scenario")
      result.scenario = value();
    else if (word == "--replay")
      result.replay = value();
    else if (word == "--preemptions")
      result.limits.preemptions = number<unsigned>(value());
    else if (word == "--time-outs")
      result.limits.time_outs = number<unsigned>(value());
    else if (word == "--seconds")
      result.seconds = number<double>(value());
    else if (word == "--faults")
      result.limits.faults = 1;
    else if (word == "--crashes")
      result.crashes = true;
    else if (word == "--every-lock")
      result.limits.every_lock = true;
    else if (word == "--split-syncs")
      result.calls.split_syncs = true;
    else if (word == "--no-reads")
      result.calls.reads = false;
    else if (word == "--list")
      result.list = true;
    else if (word == "--regular")
      result.regular = true;
    else
      throw std::invalid_argument{"unknown option " + word};
  }
  return result;
}

/// The selected scenarios. `options` are those for a replay.
std::vector<Task> chosen(const Arguments& arguments, const std::string& options) {
  std::vector<Task> result;
  for (Scenario& one : explorer::scenarios()) {
    one.setup.calls = arguments.calls;
    one.setup.crash_everywhere = arguments.crashes;
    const bool is_named_so = one.name == arguments.scenario;
    if (is_named_so) result.clear();
    if (one.name.find(arguments.scenario) != std::string::npos)
      result.push_back({std::move(one), arguments.limits, options});
    if (is_named_so) break;
  }
  return result;
}

std::vector<Task> regular() {
  std::vector<Task> result;
  for (const explorer::Regular& one : explorer::kRegular) {
    Arguments arguments;
    arguments.scenario = one.scenario;
    arguments.limits = one.limits();
    arguments.calls.reads = false;
    const auto tasks = chosen(arguments, one.options());
    if (tasks.size() != 1) throw std::logic_error{"no scenario is called " + arguments.scenario};
    result.push_back(tasks.front());
  }
  return result;
}

std::atomic<const char*> running_scenario = "";

/// Prints the scenario that ends the program, and its schedule.
void say_last_words(const char* what) {
  std::cout << running_scenario.load() << ": " << what << "\n  again: explorer --scenario '"
            << running_scenario.load() << "' --replay '" << support::Search::schedule_so_far()
            << "', with the same options" << std::endl;
}

/// A crash is a finding too. A signal handler may call none of these functions, but the alternative is to
/// report nothing.
void on_crash(int signal) {
  std::signal(signal, SIG_DFL);
  say_last_words("crashes");
  std::raise(signal);
}

/// Ends the program if a run makes no progress. Then a task waits for an event that no scheduler observes.
class Watchdog {
 public:
  void note_run() { began_ = SteadyClock::now().time_since_epoch().count(); }

 private:
  static constexpr std::chrono::seconds kPatience{60};

  void watch(const std::stop_token& stop) const {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
      const SteadyClock::time_point began{SteadyClock::duration{began_.load()}};
      if (SteadyClock::now() - began < kPatience) continue;
      say_last_words("hangs, as a task waits for something that no scheduler sees");
      std::_Exit(2);
    }
  }

  std::atomic<SteadyClock::rep> began_ = SteadyClock::now().time_since_epoch().count();
  std::jthread thread_{[this](const std::stop_token& stop) { watch(stop); }};
};

void show(const Scenario& scenario, const support::Finding& finding, const std::string& options) {
  std::cout << "  FOUND: " << finding.what << "\n  tasks:\n"
            << finding.tasks << "  again: explorer" << options << " --scenario '" << scenario.name
            << "' --replay '" << finding.schedule << "'\n";
}

/// The further options that a replay needs, as they were given.
std::string options_for_replay(const std::vector<std::string>& words) {
  std::string result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool leave_out = words[i] == "--scenario" || words[i] == "--seconds";
    if (leave_out)
      ++i;
    else
      result += ' ' + words[i];
  }
  return result;
}

int replay(const Arguments& arguments, const Scenario& scenario) {
  const auto finding = support::Search{arguments.limits}.replay(
      scenario, arguments.replay, [](const std::string& point) { std::cout << point << '\n'; });
  if (finding) show(scenario, *finding, "");
  return finding ? 1 : 0;
}

void show(const Scenario& scenario, const support::SearchResult& result, SteadyClock::duration took) {
  std::cout << std::left << std::setw(52) << scenario.name << std::right << std::setw(9) << result.schedules
            << " schedules" << std::setw(9) << result.with_faults << " with a fault, deepest " << std::setw(4)
            << result.deepest << ", " << std::fixed << std::setprecision(2) << Seconds{took}.count() << " s"
            << (result.complete || result.finding ? "" : ", NOT FINISHED") << std::endl;
}

/// Explores for `seconds`, or without a limit if that is 0. @returns the number of scenarios with findings
int explore(const std::vector<Task>& tasks, double seconds) {
  Watchdog watchdog;
  int findings = 0;
  bool complete = true;
  const auto start = SteadyClock::now();
  std::uint64_t schedules = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Scenario& scenario = tasks[i].scenario;
    support::SearchLimits limits = tasks[i].limits;
    if (seconds > 0) {
      const Seconds left = Seconds{seconds} - (SteadyClock::now() - start);
      limits.time = std::chrono::duration_cast<SteadyClock::duration>(left / (tasks.size() - i));
    }
    running_scenario = scenario.name.c_str();
    watchdog.note_run();
    const auto began = SteadyClock::now();
    const auto result = support::Search{limits}.run([&](support::Scheduler& run) {
      watchdog.note_run();
      scenario(run);
    });
    schedules += result.schedules;
    complete = complete && result.complete;
    show(scenario, result, SteadyClock::now() - began);
    if (!result.finding) continue;
    ++findings;
    show(scenario, *result.finding, tasks[i].options);
  }
  std::cout << schedules << " schedules of " << tasks.size() << " scenarios explored, "
            << (findings != 0 ? std::to_string(findings) + " with findings"
                : complete    ? "complete"
                              : "not finished")
            << std::endl;
  return findings;
}

int run(const std::vector<std::string>& words) {
  Arguments arguments = parse(words);
  const auto tasks = arguments.regular ? regular() : chosen(arguments, options_for_replay(words));
  if (tasks.empty()) throw std::invalid_argument{"no scenario is called " + arguments.scenario};
  if (arguments.list) {
    for (const Task& one : tasks) std::cout << one.scenario.name << '\n';
    return 0;
  }
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL}) std::signal(signal, on_crash);
  if (arguments.replay.empty()) return explore(tasks, arguments.seconds) == 0 ? 0 : 1;
  if (tasks.size() != 1) throw std::invalid_argument{"--replay needs the full name of one scenario"};
  return replay(arguments, tasks.front().scenario);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run({arguments + 1, arguments + count});
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what() << '\n' << kUsage;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
