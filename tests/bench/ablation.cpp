// SPDX-License-Identifier: MIT

// Where the time of a durable operation goes: the same puts with one cost after another left out.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/arguments.hpp"
#include "bench/support/data.hpp"
#include "bench/support/files.hpp"
#include "bench/support/report.hpp"
#include "bench/support/rounds.hpp"
#include "kvstore/kvstore.hpp"
#include "kvstore/spin_shared_mutex.hpp"

namespace {

using bench::Samples;
using bench::Unit;
using kvstore::detail::JournalSpace;

constexpr std::size_t kBatch = 1000;
constexpr std::uint64_t kNever = ~std::uint64_t{0} >> 2U;

/// What is left out, or done otherwise.
struct Way {
  std::string name;
  JournalSpace space{};
  std::size_t key_bytes = 16;
  kvstore::BatchSave batch_save = kvstore::BatchSave::wait;
  bool memory = false;  ///< the files are in a file system without a disk
  bool spins = false;
  bool batches = false;        ///< a WriteBatch a sync
  std::size_t batch = kBatch;  ///< operations between two syncs
  kvstore::Record record = kvstore::Record::at_once;
  bool journal = true;  ///< else entries are in memory only
};

std::vector<Way> ways() {
  return {
      {.name = "as it is"},
      {.name = "a WriteBatch a sync", .batches = true},
      {.name = "no compaction", .space = {.compact_from = kNever}},
      {.name = "no zeroing ahead", .space = {.zero_from = kNever}},
      {.name = "zeroing ahead whatever the batch", .space = {.zero_batch = kNever}},
      {.name = "neither", .space = {.zero_from = kNever, .compact_from = kNever}},
      {.name = "no mapping", .space = {.stage_from = kNever}},
      {.name = "SpinSharedMutex", .spins = true},
      {.name = "keys of 15 bytes", .key_bytes = 15},
      {.name = "BatchSave::background", .batch_save = kvstore::BatchSave::background},
      {.name = "Record::at_save", .record = kvstore::Record::at_save},
      {.name = "Record::at_save, a WriteBatch a sync", .batches = true, .record = kvstore::Record::at_save},
      {.name = "Record::at_save, a sync every 100,000", .batch = 100'000, .record = kvstore::Record::at_save},
      {.name = "files in memory", .memory = true},
      {.name = "files in memory, no compaction", .space = {.compact_from = kNever}, .memory = true},
      {.name = "no storage", .journal = false},
      {.name = "no storage, SpinSharedMutex", .spins = true, .journal = false},
      {.name = "no storage, WriteBatch", .batches = true, .journal = false}};
}

/// Takes nothing, so that operations cost what they cost in memory.
class Nowhere final : public kvstore::Storage {
 public:
  void load(const kvstore::LoadRequest&, kvstore::LoadSink&) override {}
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::everything; }
  [[nodiscard]] bool takes_changes() const noexcept override { return false; }
  void save(kvstore::ChangeSource&) override {}
};

struct Data {
  std::vector<std::string> keys;
  std::vector<std::string> values;

  Data(std::size_t entries, std::size_t key_bytes) {
    for (std::size_t i = 0; i < entries; ++i) keys.push_back(bench::key_of(i).substr(0, key_bytes));
    for (std::size_t i = 0; i < 1024; ++i) values.push_back(bench::words_of(i));
  }
};

class Folder {
 public:
  explicit Folder(bool memory) {
    if (memory) {
      path_ = "/dev/shm/kvstore-bench-ablation";
      std::filesystem::remove_all(path_);
      std::filesystem::create_directory(path_);
    } else {
      path_ = disk_.emplace() / "";
    }
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (!disk_) std::filesystem::remove_all(path_);
  }
  [[nodiscard]] std::filesystem::path file() const { return path_ / "data.json"; }

 private:
  std::optional<bench::WorkFolder> disk_;
  std::filesystem::path path_;
};

template <class Mutex>
class Race {
 public:
  using Store = kvstore::BatchPersistentKeyValueStore<std::string, std::string, kvstore::Hash<std::string>,
                                                      std::equal_to<>, Mutex>;

  Race(const Way& way, const Data& data) : way_{way}, data_{data}, folder_{way.memory} {
    const std::size_t batch = !way.journal ? 0 : way.batches ? 1 : way.batch;
    store_ =
        std::make_unique<Store>(storage(), kvstore::Options{.batch_size = batch,
                                                            .auto_save_interval = std::chrono::seconds{0},
                                                            .batch_save = way.batch_save});
  }

  /// Puts every key once, in an order of its own for each `stride`.
  void put(std::size_t stride) {
    const std::size_t size = data_.keys.size();
    kvstore::WriteBatch<std::string, std::string> batch;
    for (std::size_t i = 0; i < size; ++i) {
      const std::string& key = data_.keys[i * stride % size];
      const std::string& value = data_.values[(i + stride) % data_.values.size()];
      if (way_.batches)
        batch.upsert(key, value);
      else
        store_->upsert(key, value);
      if ((i + 1) % kBatch != 0 || !way_.batches) continue;
      store_->apply(batch);
      batch.clear();
    }
    store_->apply(batch);
    store_->save();
  }

 private:
  std::unique_ptr<kvstore::Storage> storage() const {
    if (!way_.journal) return std::make_unique<Nowhere>();
    return std::make_unique<kvstore::JsonJournal>(folder_.file(),
                                                  kvstore::JsonJournalOptions{.record = way_.record},
                                                  kvstore::detail::system_file_system(), way_.space);
  }

  Way way_;
  const Data& data_;
  Folder folder_;
  std::unique_ptr<Store> store_;
};

/// The bytes that this process has had written to a disk. Source: Linux, proc(5).
double written_bytes() {
  std::ifstream in{"/proc/self/io"};
  std::string name;
  for (double value = 0; in >> name >> value;) {
    if (name == "write_bytes:") return value;
  }
  return 0;
}

template <class Mutex>
std::vector<double> round_of(const Way& way, const Data& data) {
  Race<Mutex> race{way, data};
  const double before = written_bytes();
  std::vector<double> figures = bench::timed([&] { race.put(1); });
  figures.push_back(written_bytes() - before);
  for (const double figure : bench::timed([&] { race.put(7919); })) figures.push_back(figure);
  for (double& figure : figures) figure /= static_cast<double>(data.keys.size());
  return figures;
}

void ablate(bench::Report& report, const bench::Arguments& arguments) {
  auto table = report.section("ablation", "One operation, a sync every 1000: time, and processor time",
                              {"fill", "processor", "bytes to disk", "update", "processor of it"});
  const Data long_keys{arguments.entries, 16};
  const Data short_keys{arguments.entries, 15};
  std::vector<bench::Contestant> contestants;
  for (const Way& way : ways()) {
    contestants.push_back({way.name, [&, way] {
                             const Data& data = way.key_bytes == 15 ? short_keys : long_keys;
                             return way.spins ? round_of<kvstore::SpinSharedMutex>(way, data)
                                              : round_of<std::shared_mutex>(way, data);
                           }});
  }
  const auto results = bench::interleave(arguments.runs, contestants);
  for (std::size_t i = 0; i < results.size(); ++i) {
    std::vector<bench::Figure> figures;
    for (std::size_t k = 0; k < results[i].size(); ++k)
      figures.emplace_back(results[i][k], k == 2 ? Unit::bytes : Unit::seconds);
    table.row(contestants[i].name, figures);
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kSections[] = {"ablation"};
  const auto arguments = bench::parse_arguments(
      argc, argv, "A durable operation with one cost after another left out.", kSections);
  bench::Report report{arguments};
  ablate(report, arguments);
  report.finish();
}
