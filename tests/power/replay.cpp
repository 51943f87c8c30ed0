// SPDX-License-Identifier: MIT

// replay images FOLDER COUNT SEED: cuts the power at COUNT places of a recording, opens the store on each
// image, and prints what was found as one line of numbers. replay repeat FOLDER PLACE MODE SEED: one image
// again. A recording is a folder with base.img, the disk before, and log, the disk's writes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "power/disk_cut.hpp"
#include "power/mounted_image.hpp"
#include "power/opening.hpp"
#include "power/promises.hpp"
#include "power/script.hpp"
#include "power/write_log.hpp"

namespace power { namespace {

namespace fs = std::filesystem;

/// What one image has shown.
struct Look {
  bool mounted = false;
  bool compaction = false;  ///< the crash came while a journal was compacted
  Verdict verdict{};
};

class Recording {
 public:
  explicit Recording(const fs::path& folder)
      : log_{folder / "log"},
        promises_{records_of(log_.writes())},
        base_{folder / "base.img"},
        disk_{base_, static_cast<std::size_t>(setup().bytes())},
        work_{folder / "images"} {
    fs::create_directories(work_);
    enter_private_mounts(work_);
  }

  [[nodiscard]] const Promises& promises() const noexcept { return promises_; }
  [[nodiscard]] const Setup& setup() const noexcept { return promises_.setup(); }
  [[nodiscard]] const std::vector<DiskWrite>& writes() const noexcept { return log_.writes(); }

  /// The first place at which the guest was at work.
  [[nodiscard]] std::size_t first_place() const {
    const auto holds_record = [&](const DiskWrite& write) { return write.offset >= setup().bytes(); };
    const auto first = std::find_if(writes().begin(), writes().end(), holds_record);
    return static_cast<std::size_t>(first - writes().begin()) + 1;
  }

  /// btrfs checks whole blocks; one that a torn sector has damaged is no crash that it promises to outlive.
  [[nodiscard]] bool tears() const { return setup().fs != "btrfs"; }

  /// Cuts the power and looks what is left. The places of later calls are not before that of this one.
  [[nodiscard]] Look look(const Cut& cut, bool thorough) {
    disk_.advance(writes(), cut.place);
    const fs::path path = work_ / (std::to_string(++images_) + ".img");
    disk_.write_image(writes(), cut, path);
    const MountedImage image{path, work_ / "mnt", setup()};
    Look look{image.mounted()};
    if (!look.mounted) return look;
    const fs::path journal = image.folder() / "data.json.journal";
    look.compaction = fs::exists(journal.string() + ".next") || fs::exists(journal.string() + ".new");
    look.verdict = judge(image.folder(), cut.place, thorough);
    return look;
  }

 private:
  [[nodiscard]] Verdict judge(const fs::path& folder, std::size_t place, bool thorough) const {
    const Opening opening = open_in_child(setup(), folder, thorough ? Afterwards::leave : Afterwards::close);
    if (!opening.trouble.empty()) return {"REFUSED: " + opening.trouble};
    Verdict verdict = promises_.judge(prints_of(opening.contents, setup().threads), place);
    if (thorough && verdict.violation.empty()) verdict.violation = go_on(folder, opening.contents);
    return verdict;
  }

  /// After a second crash the store is as it was; it takes more entries, and has them when it is opened once
  /// more.
  [[nodiscard]] std::string go_on(const fs::path& folder, support::Contents contents) const {
    const Opening again = open_in_child(setup(), folder, Afterwards::work_and_close);
    if (!again.trouble.empty()) return "REFUSED the second time: " + again.trouble;
    if (again.contents != contents) return "CHANGED: it opens to something else the second time";
    for (const std::string& key : added_keys()) contents[key] = kAddedValue;
    const Opening last = open_in_child(setup(), folder, Afterwards::close);
    if (!last.trouble.empty()) return "REFUSED the third time: " + last.trouble;
    return last.contents == contents ? "" : "CHANGED: it opens to something else the third time";
  }

  WriteLog log_;
  Promises promises_;
  fs::path base_;
  Disk disk_;
  fs::path work_;
  std::size_t images_ = 0;
};

/// Half of the places lie directly before a flush, where most is at stake.
std::vector<Cut> choose_cuts(const Recording& recording, std::size_t count, std::uint64_t seed) {
  const auto& writes = recording.writes();
  const std::size_t first = recording.first_place();
  if (first >= writes.size()) throw std::runtime_error{"the guest has recorded no work"};
  std::vector<std::size_t> flushes;
  for (std::size_t i = first; i < writes.size(); ++i) {
    if (writes[i].flush && !writes[i - 1].flush) flushes.push_back(i);
  }
  Random random{seed};
  std::vector<Cut> cuts;
  for (std::size_t i = 0; i < count; ++i) {
    const bool before_flush = i / kCutModes.size() % 2 == 0 && !flushes.empty();
    const std::size_t place = before_flush ? flushes[random.below(flushes.size())]
                                           : first + random.below(writes.size() - first + 1);
    cuts.push_back({place, static_cast<CutMode>(i % kCutModes.size()), random(), recording.tears()});
  }
  std::stable_sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) { return a.place < b.place; });
  return cuts;
}

/// How a cut is named to `repeat`.
std::string describe(const Cut& cut) {
  const auto mode = static_cast<std::size_t>(cut.mode);
  return std::to_string(cut.place) + ' ' + std::to_string(mode) + ' ' + std::to_string(cut.seed);
}

struct Tally {
  std::size_t images = 0;
  std::size_t violations = 0;
  std::size_t most_lost = 0;
  std::size_t with_loss = 0;
  std::size_t compaction = 0;
  std::size_t not_mounted = 0;
  std::size_t not_repeated = 0;  ///< violations that a fresh copy of the same image did not show
};

void count(Tally& tally, const Look& look) {
  ++tally.images;
  if (!look.mounted) ++tally.not_mounted;
  if (look.compaction) ++tally.compaction;
  if (!look.verdict.violation.empty()) {
    ++tally.violations;
    return;
  }
  tally.most_lost = std::max(tally.most_lost, look.verdict.lost);
  if (look.verdict.lost != 0) ++tally.with_loss;
}

/// A violation counts only if a fresh copy shows one as well: all that is not of the image itself is chance.
Look look_twice(Recording& recording, const Cut& cut, bool thorough, Tally& tally) {
  Look look = recording.look(cut, thorough);
  if (look.verdict.violation.empty()) return look;
  Look second = recording.look(cut, thorough);
  if (second.verdict.violation.empty()) {
    ++tally.not_repeated;
    std::cerr << "not repeated: " << describe(cut) << ": " << look.verdict.violation << '\n';
  } else {
    std::cerr << describe(cut) << ": " << second.verdict.violation << '\n';
  }
  return second;
}

int judge_images(const fs::path& folder, std::size_t number, std::uint64_t seed) {
  Recording recording{folder};
  Tally tally;
  for (const std::string& words : recording.promises().broken())
    std::cerr << "in the guest: " << words << '\n';
  std::size_t index = 0;
  for (const Cut& cut : choose_cuts(recording, number, seed))
    count(tally, look_twice(recording, cut, ++index % 3 == 0, tally));
  tally.violations += recording.promises().broken().size();
  const Setup& setup = recording.setup();
  std::cout << tally.images << '\t' << tally.violations << '\t' << tally.most_lost << '\t'
            << (setup.has_bound() ? std::to_string(setup.bound()) : "-") << '\t' << tally.with_loss << '\t'
            << tally.compaction << '\t' << tally.not_mounted << '\t' << tally.not_repeated << '\t'
            << recording.promises().steps() << '\n';
  return EXIT_SUCCESS;
}

int repeat_image(const fs::path& folder, const Cut& wanted) {
  Recording recording{folder};
  Cut cut = wanted;
  cut.tears = recording.tears();
  if (cut.place > recording.writes().size()) throw std::runtime_error{"the log has no such place"};
  const Look look = recording.look(cut, true);
  std::cout << "mode " << kCutModes[static_cast<std::size_t>(cut.mode)] << ": ";
  if (!look.mounted)
    std::cout << "the file system cannot be mounted\n";
  else if (!look.verdict.violation.empty())
    std::cout << look.verdict.violation << '\n';
  else
    std::cout << "all promises are kept, " << look.verdict.lost << " operations lost\n";
  return look.verdict.violation.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}

std::size_t number_in(std::string_view text) {
  std::size_t number = 0;
  detail::read_number(text, number);
  return number;
}

int run(const std::vector<std::string_view>& words) {
  if (words.size() == 4 && words[0] == "images")
    return judge_images(words[1], number_in(words[2]), number_in(words[3]));
  if (words.size() != 5 || words[0] != "repeat" || number_in(words[3]) >= kCutModes.size())
    throw std::runtime_error{
        "images FOLDER COUNT SEED, or repeat FOLDER PLACE MODE SEED with a mode of 0 to 7"};
  return repeat_image(
      words[1], {number_in(words[2]), static_cast<CutMode>(number_in(words[3])), number_in(words[4]), true});
}

}  // namespace
}  // namespace power

int main(int argc, char** argv) {
  try {
    return power::run(std::vector<std::string_view>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::cerr << "replay: " << error.what() << '\n';
    return 2;
  }
}
