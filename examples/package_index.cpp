// SPDX-License-Identifier: MIT

// Reads a Debian package index (the list of installed packages, or any `Packages` file) into a store, closes
// it, opens it again and answers a few questions, with the time that each step takes.
//
//   package_index [PACKAGES-FILE [DATA-FILE]]

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <kvstore/kvstore.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "progress_bar.hpp"

namespace {

namespace fs = std::filesystem;

struct Package {
  std::string name, version, architecture, section, description;
  std::uint64_t installed_kib = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Package, name, version, architecture, section, description, installed_kib)

using Packages = kvstore::BatchPersistentKeyValueStore<std::string, Package>;

// --- reading the index: stanzas of "Field: value" lines, an indented line continues the one above
// ------------

using Stanza = std::map<std::string, std::string, std::less<>>;

/// Reads up to the next empty line; false at the end of the file.
bool read_stanza(std::istream& in, Stanza& stanza) {
  stanza.clear();
  std::string* value = nullptr;
  for (std::string line; std::getline(in, line);) {
    const bool blank = line.find_first_not_of(" \t\r") == std::string::npos;
    if (blank && !stanza.empty()) return true;
    if (blank) continue;
    if (line.front() == ' ' || line.front() == '\t') {
      if (value) *value += '\n' + line.substr(1);
    } else if (const auto colon = line.find(':'); colon != std::string::npos) {
      const auto start = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
      value = &(stanza[line.substr(0, colon)] = line.substr(start));
    }
  }
  return !stanza.empty();
}

Package to_package(Stanza& stanza) {
  const std::string& size = stanza["Installed-Size"];
  return {.name = stanza["Package"],
          .version = stanza["Version"],
          .architecture = stanza["Architecture"],
          .section = stanza["Section"],
          .description = stanza["Description"],
          .installed_kib = size.empty() ? 0 : std::stoull(size)};
}

/// The same name may come for several architectures and in several versions: the first takes the plain name,
/// the others are told apart as dpkg and apt write them, `name:arch` and `name:arch=version`.
void add(Packages& packages, const Package& package) {
  if (packages.try_create(package.name, package)) return;
  const std::string with_architecture = package.name + ':' + package.architecture;
  if (packages.try_create(with_architecture, package)) return;
  packages.upsert(with_architecture + '=' + package.version, package);
}

// --- showing -------------------------------------------------------------------------------------

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

/// Runs one step and prints how much it did in what time.
template <class Step>
void timed(std::string_view title, Step step) {
  const auto start = std::chrono::steady_clock::now();
  const auto [entries, bytes] = step();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(entries) / std::max(seconds, 1e-9));
  std::cout << std::left << std::setw(10) << title << std::right << std::setw(9) << grouped(entries)
            << " packages" << std::setw(13) << grouped(bytes) << " bytes" << std::fixed
            << std::setprecision(3) << std::setw(9) << seconds << " s" << std::setw(13) << grouped(rate)
            << " packages/s\n";
}

struct Done {
  std::uint64_t entries, bytes;
};

// --- the steps -----------------------------------------------------------------------------------

Done fill(Packages& packages, const fs::path& index) {
  const std::uint64_t total = fs::file_size(index);
  std::ifstream in{index, std::ios::binary};
  Stanza stanza;
  ProgressBar bar{"filling"};
  for (std::uint64_t count = 0; read_stanza(in, stanza); ++count) {
    if (!stanza["Package"].empty()) add(packages, to_package(stanza));
    if (count % 256 == 0 && in) bar(static_cast<double>(in.tellg()) / static_cast<double>(total));
  }
  return {packages.size(), total};
}

void answer_questions(const Packages& packages) {
  std::vector<std::pair<std::uint64_t, std::string>> by_size;
  std::map<std::string, std::uint64_t> sections;
  packages.for_each([&](const std::string& key, const Package& package) {
    by_size.emplace_back(package.installed_kib, key);
    ++sections[package.section.empty() ? "(none)" : package.section];
  });

  std::cout << "\nThe largest when installed:\n";
  std::ranges::sort(by_size, std::greater<>{});
  if (by_size.size() > 5) by_size.resize(5);
  for (const auto& [kib, key] : by_size)
    std::cout << std::setw(12) << grouped(kib) << " KiB  " << key << '\n';

  std::cout << "\nThe largest sections:\n";
  std::vector<std::pair<std::uint64_t, std::string>> by_count;
  for (const auto& [section, count] : sections) by_count.emplace_back(count, section);
  std::ranges::sort(by_count, std::greater<>{});
  if (by_count.size() > 5) by_count.resize(5);
  for (const auto& [count, section] : by_count)
    std::cout << std::setw(12) << grouped(count) << "      " << section << '\n';

  const bool found = packages.visit("bash", [](const Package& bash) {
    std::cout << "\nbash is version " << bash.version << " for " << bash.architecture << ":\n  "
              << bash.description.substr(0, bash.description.find('\n')) << '\n';
  });
  if (!found) std::cout << "\nThere is no bash in it.\n";
}

int run(const fs::path& index, const fs::path& data) {
  // A bulk load: nothing is saved before all is there, then everything at once.
  ProgressBar bar;
  const kvstore::Options options{.batch_size = 0, .auto_save_interval = {}, .on_progress = std::ref(bar)};
  std::uint64_t filled = 0;
  {
    Packages packages{data, options};
    packages.clear();
    timed("filled", [&] { return fill(packages, index); });
    timed("saved", [&] {
      packages.save();
      return Done{packages.size(), fs::file_size(data)};
    });
    filled = packages.size();
  }

  std::unique_ptr<Packages> packages;
  timed("reloaded", [&] {
    packages = std::make_unique<Packages>(data, options);
    return Done{packages->size(), fs::file_size(data)};
  });
  answer_questions(*packages);
  std::cout << "\nAll of it is in " << fs::absolute(data).string() << ", one package a line.\n";
  return packages->size() == filled ? 0 : 1;
}

}  // namespace

int main(int argc, char* argv[]) {
  const fs::path index = argc > 1 ? argv[1] : "/var/lib/dpkg/status";
  const fs::path data = argc > 2 ? argv[2] : "packages.json";
  if (!std::ifstream{index}) {
    std::cerr << "cannot read " << index.string()
              << "\nGive it a Debian Packages file, unpacked: package_index "
              << "PACKAGES-FILE [DATA-FILE]\n";
    return 1;
  }
  try {
    return run(index, data);
  } catch (const std::exception& error) {
    std::cerr << "package_index: " << error.what() << '\n';
    return 1;
  }
}
