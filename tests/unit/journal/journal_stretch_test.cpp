// SPDX-License-Identifier: MIT

// Several threads read a journal as one thread does: what counts, what is applied, and the error of a journal
// that is refused. Proved by enumeration: each way to cut a journal into stretches, and each damage to a
// byte.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvstore/detail/journal/format.hpp"
#include "kvstore/detail/journal/stretch.hpp"
#include "kvstore/detail/journal/survey.hpp"
#include "kvstore/detail/text/crc32c.hpp"
#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace journal_stretch_test { namespace {

using kvstore::Change;
using kvstore::JsonJournal;
using kvstore::detail::FoundJournal;
using kvstore::detail::JournalThreads;
using support::TempFolder;
using support::write_file;
using Contents = std::map<std::string, std::string>;

std::string line(std::string_view body, std::string_view separator = " ") {
  const std::string rest = std::string{separator}.append(body);
  const auto digits = kvstore::detail::crc_digits(kvstore::detail::crc32c(rest));
  return std::string{digits.data(), digits.size()} + rest + "\n";
}

const std::string kHeader = line(R"({"kvstore_journal":1,"id":"00000000000000aa","snapshot":null})");

/// A journal with every kind of line, and with marks for lines before, near and far.
std::string journal() {
  std::string text = kHeader;
  const auto mark = [&](std::size_t offset) { return "|" + std::to_string(offset) + " "; };
  const std::size_t header = text.size();
  text += line(R"(["a","1"])", mark(header));
  text += line(R"(["b","a longer text, with \"quotes\""])");
  const std::size_t third = text.size();
  text += line(R"([["c",[1,2]],["a"],["d",{"x":null}]])");
  text += line("[]");
  text += line(R"(["a","after"])", mark(third));
  text += line(R"({"snapshot":{"size":7,"crc32c":"0000abcd"}})", mark(text.size()));
  text += line(R"(["b"])");
  text += line(R"(["c","\u00e4"])");
  return text + line("null", mark(text.size()));
}

/// Keeps the entries in three maps, which threads may fill independently.
class MapSink final : public kvstore::LoadSink {
 public:
  void expect(std::uint64_t) override {}
  void schema_version(std::uint32_t) override {}
  void put(std::string_view key, std::string_view value) override { change({key, value}); }
  void finish() override {}
  void change(const Change& change) override { apply(std::string{change.key}, text_of(change)); }
  std::unique_ptr<kvstore::ChangeStage> change_stage() override { return std::make_unique<Stage>(*this); }
  void clear() override { maps_ = {}; }

  [[nodiscard]] Contents contents() const {
    Contents all;
    for (const Contents& map : maps_) all.insert(map.begin(), map.end());
    return all;
  }
  [[nodiscard]] std::size_t staged() const { return staged_; }

 private:
  static constexpr std::size_t kParts = 3;
  using Text = std::optional<std::string>;

  class Stage final : public kvstore::ChangeStage {
   public:
    explicit Stage(MapSink& sink) : sink_{sink} {}
    void change(const Change& change) override {
      changes_.emplace_back(std::string{change.key}, text_of(change));
    }
    void clear() override { changes_.emplace_back("", Text{}); }
    [[nodiscard]] std::size_t parts() const noexcept override { return kParts; }
    void apply(std::size_t part) override {
      for (const auto& [key, value] : changes_) {
        if (key.empty())
          sink_.maps_[part].clear();
        else if (part_of(key) == part)
          sink_.apply(key, value);
      }
    }
    void finish() override {
      sink_.staged_ += changes_.size();
      forget();
    }
    void forget() noexcept override { changes_.clear(); }

   private:
    MapSink& sink_;
    std::vector<std::pair<std::string, Text>> changes_;  // no key = all of them are removed
  };

  [[nodiscard]] static std::size_t part_of(const std::string& key) {
    return static_cast<unsigned char>(key.front()) % kParts;
  }
  [[nodiscard]] static Text text_of(const Change& change) {
    return change.value ? Text{*change.value} : std::nullopt;
  }
  void apply(const std::string& key, const Text& value) {
    Contents& map = maps_[part_of(key)];
    if (value)
      map[key] = *value;
    else
      map.erase(key);
  }

  std::array<Contents, kParts> maps_;
  std::size_t staged_ = 0;
};

/// All that opening learns from a journal.
struct Opened {
  std::string error;
  bool counts = false;
  std::size_t bases = 0;
  std::uint64_t steps = 0;
  std::uint64_t end = 0;
  std::uint64_t torn = 0;
  std::uint64_t vouched = 0;
  std::uint64_t replayed = 0;
  Contents contents;
  bool operator==(const Opened&) const = default;
};

/// Also returns how many changes came by stages.
std::pair<Opened, std::size_t> open(const std::filesystem::path& path, const JournalThreads& threads) {
  Opened outcome;
  FoundJournal found;
  found.path = path;
  found.file = kvstore::detail::open_if_exists(kvstore::detail::system_file_system(), path);
  MapSink sink;
  try {
    kvstore::detail::survey_journal(found, threads);
    if (found.counts) outcome.replayed = kvstore::detail::replay_journal(found, sink, threads);
  } catch (const kvstore::Error& error) { outcome.error = error.what(); }
  outcome.counts = found.counts;
  if (!outcome.error.empty()) return {outcome, sink.staged()};
  outcome.bases = found.bases.size();
  outcome.steps = found.steps;
  outcome.end = found.end;
  outcome.torn = found.torn_bytes;
  outcome.vouched = found.vouched;
  outcome.contents = sink.contents();
  return {outcome, sink.staged()};
}

void require_same(const std::filesystem::path& path, const std::vector<std::size_t>& stretches) {
  const Opened alone = open(path, {}).first;
  for (const std::size_t stretch : stretches) {
    CAPTURE(stretch);
    REQUIRE(open(path, {2, stretch, 0}).first == alone);
  }
}

TEST_CASE("Journal stretches: cut into any stretches, a journal is what it is in one piece") {
  const TempFolder folder;
  const std::string text = journal();
  write_file(folder / "journal", text);
  const Opened alone = open(folder / "journal", {}).first;
  REQUIRE(alone.error.empty());
  REQUIRE(alone.steps == 9);
  REQUIRE(alone.contents.size() == 2);
  for (std::size_t stretch = 1; stretch <= text.size(); ++stretch) {
    CAPTURE(stretch);
    const auto [outcome, staged] = open(folder / "journal", {2 + stretch % 3, stretch, 0});
    REQUIRE(outcome == alone);
    // In small stretches nothing is left to one thread; in large ones, at most what follows the last of them.
    if (stretch <= 32) REQUIRE(staged == 9);
    if (stretch <= (text.size() - kHeader.size()) / 2) REQUIRE(staged > 0);
  }
}

TEST_CASE("Journal stretches: a torn or grown end is what it is for one thread") {
  const TempFolder folder;
  const std::string text = journal();
  for (std::size_t bytes = 0; bytes <= text.size(); ++bytes) {
    CAPTURE(bytes);
    for (const std::string_view tail : {std::string_view{}, std::string_view{"\0\0\0\0\0\0\0\0\0\0", 10},
                                        std::string_view{"\0\0\n\0\0{}\n", 8}}) {
      write_file(folder / "journal", text.substr(0, bytes).append(tail));
      require_same(folder / "journal", {8, 50, 200});
    }
  }
}

TEST_CASE("Journal stretches: a damaged byte is dropped or told as by one thread, wherever it stands") {
  const TempFolder folder;
  const std::string text = journal();
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char byte : {'\n', '\0', ' ', '|', static_cast<char>(text[at] ^ 1)}) {
      CAPTURE(at, byte);
      std::string damaged = text;
      damaged[at] = byte;
      write_file(folder / "journal", damaged);
      require_same(folder / "journal", {8, 50, 200});
    }
  }
}

TEST_CASE("Journal stretches: removed, doubled and swapped lines are noticed as by one thread") {
  const TempFolder folder;
  const std::string text = journal();
  std::vector<std::string> lines;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = text.find('\n', from) + 1;
    lines.push_back(text.substr(from, end - from));
    from = end;
  }
  const auto check = [&](const std::vector<std::string>& changed) {
    std::string joined;
    for (const std::string& part : changed) joined += part;
    write_file(folder / "journal", joined);
    require_same(folder / "journal", {8, 50, 200});
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t j = 0; j < lines.size(); ++j) {
      CAPTURE(i, j);
      auto swapped = lines;
      std::swap(swapped[i], swapped[j]);
      check(swapped);
      auto doubled = lines;
      doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(j), lines[i]);
      check(doubled);
    }
    auto removed = lines;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(i));
    check(removed);
  }
}

TEST_CASE("Journal stretches: a line with a matching checksum and a bad body is refused as by one thread") {
  const TempFolder folder;
  for (const std::string_view bad : {R"(["e" 1])", R"(["e",01])", R"([["f","1"],["e",]])", "{}",
                                     R"({"kvstore_journal":1,"id":"b"})", "x", R"(["e","1"] )", "[[]]"}) {
    CAPTURE(bad);
    write_file(folder / "journal", journal() + line(bad) + line(R"(["after","1"])"));
    require_same(folder / "journal", {8, 50, 200});
  }
}

TEST_CASE("Journal stretches: lines longer than many stretches are read, and those behind them") {
  const TempFolder folder;
  std::string text = kHeader;
  for (std::size_t i = 0; i < 200; ++i) {
    const std::size_t bytes = i % 50 == 0 ? 30'000 : i;
    text += line("[\"" + std::to_string(i) + "\",\"" + std::string(bytes, 'x') + "\"]");
  }
  write_file(folder / "journal", text);
  require_same(folder / "journal", {1, 64, 1000, 20'000});
  CHECK(open(folder / "journal", {2, 64, 0}).second > 0);
}

TEST_CASE("Journal stretches: a checksum is read from eight lower-case hex digits, and from nothing else") {
  for (std::size_t at = 0; at < 8; ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string digits = "12345678";
      digits[at] = static_cast<char>(byte);
      const bool is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');
      const auto crc = kvstore::detail::parse_crc(digits);
      REQUIRE(crc.has_value() == is_digit);
      if (crc) REQUIRE(*crc == std::stoul(digits, nullptr, 16));
    }
  }
  CHECK_FALSE(kvstore::detail::parse_crc("1234567"));
  CHECK_FALSE(kvstore::detail::parse_crc("123456789"));
}

}}  // namespace journal_stretch_test::(anonymous)
