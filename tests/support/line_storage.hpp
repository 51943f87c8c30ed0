// SPDX-License-Identifier: MIT
#pragma once

// A storage that keeps the JSON text of the last save in memory, and lets a test act between two blocks of
// lines.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "kvstore/codec.hpp"
#include "kvstore/detail/json_file/entry_writer.hpp"
#include "kvstore/storage.hpp"

namespace support {

struct LineDisk {
  std::string text;                                                ///< of the last save that succeeded
  std::function<void(std::size_t)> on_block = [](std::size_t) {};  ///< after each block, with its number
  std::size_t blocks = 0;                                          ///< of the last save
};

class LineStorage final : public kvstore::Storage {
 public:
  explicit LineStorage(std::shared_ptr<LineDisk> disk) : disk_{std::move(disk)} {}

  void load(const kvstore::LoadRequest&, kvstore::LoadSink&) override {}
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::everything; }

  void save(kvstore::ChangeSource& source) override {
    Output output{*disk_, {}, 0};
    kvstore::detail::write_json_entries(output, source);
    disk_->text = std::move(output.text);
    disk_->blocks = output.blocks;
  }

 private:
  struct Output {
    LineDisk& disk;
    std::string text;
    std::size_t blocks;
    void append(std::string_view more) {
      text += more;
      disk.on_block(++blocks);
    }
  };

  std::shared_ptr<LineDisk> disk_;
};

/// The entries of a JSON object, by key. Refuses a key that occurs twice.
template <class Value>
[[nodiscard]] std::map<std::string, Value> entries_of(std::string_view text) {
  std::map<std::string, Value> entries;
  kvstore::JsonReader reader{text};
  reader.each_member([&](std::string_view name) {
    const std::string key{name};
    if (!entries.emplace(key, kvstore::Codec<Value>::decode(reader)).second) {
      throw std::runtime_error{"key " + key + " comes twice"};
    }
  });
  reader.finish();
  return entries;
}

}  // namespace support
