// SPDX-License-Identifier: MIT
#pragma once

// One run: a store on a simulated disk, the actions of its tasks, and the check of each promise.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "explorer/binding.hpp"
#include "explorer/history.hpp"
#include "kvstore/detail/file/file_system.hpp"
#include "kvstore/detail/journal/file.hpp"
#include "kvstore/error.hpp"
#include "kvstore/options.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "support/scheduled_file_system.hpp"
#include "support/scheduler.hpp"
#include "support/search_terms.hpp"
#include "support/simulated_disk.hpp"
#include "support/text_entries.hpp"

namespace explorer {

/// The storage of the store.
enum class Keeping { file, journal, staged_journal, marked_journal };

/// The reaction of the handler to a failure.
enum class OnError { nothing, upsert, save };

/// The set-up of the store of a scenario.
struct Setup {
  Keeping keeping = Keeping::journal;
  std::size_t batch_size = 1;
  std::chrono::milliseconds auto_save_interval{0};
  kvstore::BatchSave batch_save = kvstore::BatchSave::wait;
  OnError on_error = OnError::nothing;
  support::ScheduledCalls calls{};
  bool crash_everywhere = false;  ///< checks what a crash would leave at each call to the disk as well
};

[[nodiscard]] inline std::unique_ptr<kvstore::Storage> make_storage(Keeping keeping,
                                                                    kvstore::detail::FileSystem& files) {
  static constexpr kvstore::detail::JournalSpace kSmall{.step = 4096};  // quick to read
  static constexpr kvstore::detail::JournalSpace kStaged{.step = std::uint64_t{64} << 10,
                                                         .tail = std::size_t{64} << 10,
                                                         .zero_from = std::uint64_t{1} << 20,
                                                         .stage_from = 1};
  if (keeping == Keeping::file) return std::make_unique<kvstore::JsonFile>("/sim/data.json", files);
  const auto record =
      keeping == Keeping::marked_journal ? kvstore::Record::at_save : kvstore::Record::at_once;
  return std::make_unique<kvstore::JsonJournal>("/sim/data.json",
                                                kvstore::JsonJournalOptions{.record = record}, files,
                                                keeping == Keeping::staged_journal ? kStaged : kSmall);
}

class World {
 public:
  using Outcome = History::Outcome;

  explicit World(const Setup& setup)
      : setup_{setup}, disk_{start_image(setup.keeping)}, files_{disk_, setup.calls}, history_{start()} {
    if (setup.crash_everywhere) files_.watch([this] { check_disk("in the middle of it"); });
    store_ = std::make_unique<Store>(make_storage(setup.keeping, files_), options());
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Store& store() noexcept { return *store_; }

  /// Makes a call that changes entries, and checks the promises of the call. `make` may return whether it
  /// changed an entry.
  template <class Make>
  Outcome change(const std::string& name, std::size_t operations, History::Effect effect, const Make& make) {
    const std::size_t call = history_.begin(name, operations, std::move(effect));
    return end(call, name, make, [] {});
  }

  /// Makes a call that makes all calls durable that had returned before, and checks this promise.
  /// `operations` and `effect` describe the change of entries, if the call makes one.
  template <class Make>
  Outcome save(const std::string& name, const Make& make, std::size_t operations = 0,
               History::Effect effect = {}) {
    const std::size_t call = history_.begin(name, operations, std::move(effect));
    return end(call, name, make, [&] { history_.note_saved(call); });
  }

  /// Makes a call that copies the store to another file, and checks the copy.
  template <class Make>
  void copy(const std::string& name, const std::filesystem::path& path, const Make& make) {
    const std::size_t call = history_.begin(name, 0, {});
    end(call, name, make, [&] {
      kvstore::JsonFile file{path};
      const State state = state_of(file);
      if (!history_.may_be_in_copy(state, call)) complain("the copy holds", state);
    });
  }

  /// Opens the store a second time as a reader, refreshes the reader, and checks the contents that it sees.
  void follow() {
    std::unique_ptr<Store> follower;
    look("open read-only", [&] {
      const kvstore::Options options{.segments = 2, .threads = 1, .read_only = true};
      follower = std::make_unique<Store>(make_storage(setup_.keeping, files_), options);
      return follower.get();
    });
    if (!follower) return;
    look("refresh", [&] {
      follower->refresh();
      return follower.get();
    });
  }

  /// Called when all tasks have ended. Nothing fails any more, so everything must become durable, and stay
  /// unchanged.
  void finish() {
    State held = contents();
    if (!history_.may_be_in_memory(held)) complain("the store holds", held);
    check_disk("when all had ended");
    if (!closed_) {
      if (setup_.auto_save_interval.count() != 0) check_auto_save();
      held = contents();  // again, since a handler may have written meanwhile
      save("the last save", [&] { store_->save(); });
      require_all("after a last save", held);
      if (store_->unsaved() != 0) throw support::Violation{"operations are unsaved after a last save"};
      if (store_->last_error()) throw support::Violation{"still complains: " + *store_->last_error()};
      store_->close();
    }
    require_all("after a close", held);
    store_.reset();
    require_all("at the end", held);
    check_litter();
  }

  void note_closed() noexcept { closed_ = true; }

 private:
  [[nodiscard]] static State start() { return {{"old", 7}}; }

  /// The disk that a closed store leaves.
  [[nodiscard]] static const support::DiskImage& start_image(Keeping keeping) {
    static std::map<Keeping, support::DiskImage> images;
    support::DiskImage& image = images[keeping];
    if (image.empty()) {
      support::SimulatedDisk disk;
      const auto storage = make_storage(Keeping::file, disk);
      support::CollectingSink sink;
      storage->load({}, sink);
      support::save_to(*storage, {{"old", "7"}});
      image = disk.visible();
    }
    return image;
  }

  [[nodiscard]] kvstore::Options options() {
    kvstore::Options options{.batch_size = setup_.batch_size,
                             .auto_save_interval = setup_.auto_save_interval,
                             .batch_save = setup_.batch_save,
                             .segments = 2,
                             .threads = 1};
    if (setup_.on_error != OnError::nothing) options.on_error = [this](const std::exception&) { handle(); };
    return options;
  }

  /// Uses the store whose failure is reported.
  void handle() {
    const int number = ++handled_;
    const std::string key = "handler" + std::to_string(number);
    if (setup_.on_error == OnError::save) {
      save("save in the handler", [&] { store_->save(); });
    } else {
      change(
          "upsert in the handler", 1, [=](State& state) { state[key] = number; },
          [&] { store_->upsert(key, number); });
    }
  }

  template <class Make, class Done>
  Outcome end(std::size_t call, const std::string& name, const Make& make, const Done& done) {
    Outcome outcome = Outcome::done;
    try {
      if constexpr (std::is_same_v<decltype(make()), bool>)
        outcome = make() ? Outcome::done : Outcome::refused;
      else
        make();
    } catch (const kvstore::StorageError&) { outcome = Outcome::failed; } catch (const kvstore::UsageError&) {
      outcome = Outcome::refused;
    }
    if (outcome == Outcome::failed && files_.failures() == 0)
      throw support::Violation{name + " failed without a fault"};
    history_.end(call, outcome);
    if (outcome == Outcome::done) done();
    check_disk("after " + name);
    return outcome;
  }

  template <class Make>
  void look(const std::string& name, const Make& make) {
    const std::size_t call = history_.begin(name, 0, {});
    State seen;
    const auto outcome = end(call, name, [&] { seen = contents_of(*make()); }, [] {});
    const bool was_written = loses_nothing_when_killed() || may_be_lost() == 0;
    if (outcome == Outcome::done && !history_.may_be_followed(seen, call, was_written))
      complain(name + " sees", seen);
  }

  /// Checks that no operation stays unsaved for longer than the interval, or than the delay of a failed save.
  void check_auto_save() {
    support::Scheduler& run = *support::Scheduler::current();
    const auto never = [](const void*) { return false; };
    const auto always = [](const void*) { return true; };
    run.wait_until("wait for the auto-saver", never, always, nullptr,
                   run.now() + 2 * setup_.auto_save_interval);
    if (store_->unsaved() != 0) throw support::Violation{"operations are unsaved after the interval"};
    require_all("after the interval", contents());
  }

  // Checks of the disk ----------------------------------------------------------------------------

  /// The number of acknowledged operations that power loss may take.
  [[nodiscard]] std::size_t may_be_lost() const {
    const bool waits = setup_.batch_save == kvstore::BatchSave::wait && setup_.batch_size != 0;
    return waits ? setup_.batch_size - 1 : History::kAny;
  }

  void check_disk(const std::string& when) {
    const State& certain = recover(disk_.certain());
    if (!history_.may_be_on_disk(certain, may_be_lost())) complain(when + ", power loss leaves", certain);
    const State& written = recover(disk_.visible());
    const std::size_t lost = loses_nothing_when_killed() ? 0 : may_be_lost();
    if (!history_.may_be_on_disk(written, lost)) complain(when + ", a kill leaves", written);
  }

  /// A journal has each line before its operation returns. An operation that comes while the journal is
  /// broken waits for a new journal, or fails.
  [[nodiscard]] bool loses_nothing_when_killed() const {
    return setup_.keeping == Keeping::journal || setup_.keeping == Keeping::staged_journal;
  }

  void require_all(const std::string& when, const State& held) {
    for (const auto& image : {disk_.certain(), disk_.visible()}) {
      const State& state = recover(image);
      if (state != held) complain(when + " the store holds " + describe(held) + " and the disk", state);
    }
  }

  void check_litter() const {
    static const std::set<std::string> kOurs{"data.json", "data.json.journal", "data.json.journal.next",
                                             "data.json.lock"};
    for (const auto& file : disk_.visible()) {
      const std::string name = std::filesystem::path{file.first}.filename().string();
      if (!kOurs.contains(name)) throw support::Violation{"a close leaves " + name};
    }
  }

  /// The contents that the next process finds. Equal images are opened only once.
  [[nodiscard]] const State& recover(const support::DiskImage& image) {
    for (const auto& [known, state] : recovered_) {
      if (known == image) return state;
    }
    return recovered_.emplace_back(image, open(image)).second;
  }
  [[nodiscard]] State open(const support::DiskImage& image) const {
    const support::Scheduler::Aside aside;
    support::SimulatedDisk disk{image};
    try {
      const auto storage = make_storage(setup_.keeping, disk);
      return state_of(*storage);
    } catch (const std::exception& error) {
      throw support::Violation{std::string{"does not open: "} + error.what() + "\n  on a disk with\n" +
                               support::describe(image) + "  " + history_.words()};
    }
  }
  [[nodiscard]] static State state_of(kvstore::Storage& storage) {
    support::CollectingSink sink;
    storage.load({}, sink);
    sink.finish();
    State state;
    for (const auto& [key, value] : sink.entries) state[key] = std::stoi(value);
    return state;
  }

  [[nodiscard]] State contents() const { return contents_of(*store_); }
  [[nodiscard]] static State contents_of(const Store& store) {
    State state;
    store.for_each([&](const std::string& key, int value) { state[key] = value; });
    return state;
  }

  [[noreturn]] void complain(const std::string& what, const State& state) const {
    throw support::Violation{what + ' ' + describe(state) + "\n  " + history_.words()};
  }

  Setup setup_;
  support::SimulatedDisk disk_;
  support::ScheduledFileSystem files_;
  History history_;
  int handled_ = 0;
  bool closed_ = false;
  std::deque<std::pair<support::DiskImage, State>> recovered_;
  std::unique_ptr<Store> store_;
};

}  // namespace explorer
