// SPDX-License-Identifier: MIT

// Any bytes as the file of a JsonFile: what nlohmann/json takes, apart from what the library refuses on
// purpose, is loaded with the same values; everything else is refused; and what was loaded can be saved and
// loaded again.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/codec.hpp"
#include "kvstore/error.hpp"
#include "kvstore/json_text.hpp"
#include "kvstore/storage/json_file.hpp"
#include "support/fuzz.hpp"
#include "support/simulated_disk.hpp"
#include "support/text_entries.hpp"

namespace {

using support::JsonContents;
using support::require;

constexpr const char* kPath = "/sim/data.json";

struct Loaded {
  std::optional<JsonContents> contents;
  std::uint64_t offset = 0;  // of the error
  std::string words;
};

Loaded load(support::SimulatedDisk& disk, std::size_t block_bytes) {
  kvstore::JsonFile storage{kPath, disk, block_bytes};
  try {
    return {support::load_json(storage), 0, {}};
  } catch (const kvstore::CorruptionError& error) { return {std::nullopt, error.offset(), error.expected()}; }
}

/// Finds what the library refuses although it is JSON: too deep, or a key twice in one object.
class Refusals : public nlohmann::json_sax<nlohmann::json> {
 public:
  [[nodiscard]] bool any() const { return any_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string& text) override {
    any_ = any_ || text.find_first_of(".eE") == std::string::npos;  // an integer beyond 64 bits
    return true;
  }
  bool string(std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool key(std::string& name) override {
    any_ = any_ || !keys_.back().insert(name).second;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  bool enter() {
    keys_.emplace_back();
    any_ = any_ || keys_.size() > static_cast<std::size_t>(kvstore::kMaxDepth) + 1;  // the file's own object
    return true;
  }
  bool leave() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;
  bool any_ = false;
};

bool refused_on_purpose(std::string_view text) {
  Refusals refusals;
  nlohmann::json::sax_parse(text, &refusals);
  return refusals.any();
}

void compare_with_nlohmann(std::string_view text, const Loaded& loaded) {
  if (text.find('\0') != std::string_view::npos) return;  // there it ends, for nlohmann's lexer
  const nlohmann::json tree = nlohmann::json::parse(text, nullptr, false);
  if (!loaded.contents) {
    require(!tree.is_object() || refused_on_purpose(text), "refused: " + loaded.words);
    return;
  }
  require(tree.is_object(), "nlohmann takes it as well");
  require(nlohmann::json(*loaded.contents) == tree, "the same values are loaded");
}

void save_and_load(const JsonContents& contents) {
  support::SimulatedDisk disk;
  {
    kvstore::JsonFile storage{kPath, disk};
    support::save_to(storage, support::text_entries(contents));
  }
  const Loaded again = load(disk, 4096);
  require(again.contents == contents, "what was loaded can be saved and loaded again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{support::text_of(data, size)};
  support::SimulatedDisk disk{{{kPath, support::SparseText{text}}}};
  const Loaded loaded = load(disk, 4096);
  const Loaded in_small_blocks = load(disk, 16);
  require(loaded.contents == in_small_blocks.contents, "blocks do not matter to values");
  require(loaded.offset == in_small_blocks.offset && loaded.words == in_small_blocks.words, "nor to errors");
  require(loaded.offset <= size, "an error is in the file");
  require(disk.visible().at(kPath).text() == text, "loading changes nothing");
  compare_with_nlohmann(text, loaded);
  if (loaded.contents) save_and_load(*loaded.contents);
  return 0;
}
