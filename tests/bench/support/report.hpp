// SPDX-License-Identifier: MIT
#pragma once

// Prints tables with medians, spread and goals, and writes the same as JSON, every round included.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/support/arguments.hpp"
#include "bench/support/machine.hpp"
#include "bench/support/samples.hpp"

namespace bench {

enum class Unit { seconds, bytes, per_second, times };

namespace detail {

struct Scale {
  double factor;
  std::string_view name;
};

/// The largest scale in which `value` is at least 1.
[[nodiscard]] inline Scale scale_of(double value, Unit unit) {
  static constexpr std::array kSeconds{Scale{1, " s"}, Scale{1e-3, " ms"}, Scale{1e-6, " us"},
                                       Scale{1e-9, " ns"}};
  static constexpr std::array kBytes{Scale{1073741824, " GiB"}, Scale{1048576, " MiB"}, Scale{1024, " KiB"},
                                     Scale{1, " B"}};
  static constexpr std::array kRates{Scale{1e6, " M/s"}, Scale{1e3, " k/s"}, Scale{1, " /s"}};
  static constexpr std::array kTimes{Scale{1, "x"}};
  const std::span<const Scale> scales = unit == Unit::seconds ? std::span<const Scale>{kSeconds}
                                        : unit == Unit::bytes ? std::span<const Scale>{kBytes}
                                        : unit == Unit::times ? std::span<const Scale>{kTimes}
                                                              : std::span<const Scale>{kRates};
  const auto found = std::find_if(scales.begin(), scales.end(),
                                  [value](const Scale& scale) { return std::abs(value) >= scale.factor; });
  return found == scales.end() ? scales.back() : *found;
}

[[nodiscard]] inline std::string_view symbol_of(Unit unit) {
  return unit == Unit::seconds ? "s" : unit == Unit::bytes ? "B" : unit == Unit::times ? "x" : "/s";
}

/// To three digits.
[[nodiscard]] inline std::string digits(double value) {
  std::ostringstream out;
  const double size = std::abs(value);
  out << std::fixed << std::setprecision(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2) << value;
  return out.str();
}

[[nodiscard]] inline std::string with_unit(double value, Unit unit) {
  const Scale scale = scale_of(value, unit);
  return digits(value / scale.factor).append(scale.name);
}

}  // namespace detail

/// What stands in one cell: the rounds of one measurement. Without rounds, the cell is empty.
struct Figure {
  Figure(Samples rounds = {}, Unit of = Unit::seconds) : samples{std::move(rounds)}, unit{of} {}  // NOLINT

  Samples samples;
  Unit unit;

  [[nodiscard]] std::string text() const {
    if (samples.empty()) return "";
    const auto scale = detail::scale_of(samples.median(), unit);
    const auto part = [&](double value) { return detail::digits(value / scale.factor); };
    return part(samples.median()).append(scale.name) + " (" + part(samples.min()) + ".." +
           part(samples.max()) + ")";
  }
};

/// One section of a report. Rows are printed as they come, so that whoever waits sees it get on.
class Table {
 public:
  static constexpr std::size_t kNameWidth = 41;
  static constexpr std::size_t kCellWidth = 24;

  Table(const std::string& title, std::vector<std::string> columns, nlohmann::ordered_json& json)
      : columns_{std::move(columns)}, json_{json} {
    json_ = {{"title", title},
             {"units", nlohmann::ordered_json::object()},
             {"rows", nlohmann::ordered_json::array()},
             {"goals", nlohmann::ordered_json::array()}};
    std::cout << '\n' << title << '\n';
    print_line("", columns_);
  }

  void row(const std::string& name, const std::vector<Figure>& figures) {
    nlohmann::ordered_json json{{"name", name}};
    std::vector<std::string> cells;
    for (std::size_t i = 0; i < figures.size(); ++i) {
      cells.push_back(figures[i].text());
      if (figures[i].samples.empty()) continue;
      json[columns_[i]] = figures[i].samples.values();
      json_["units"][columns_[i]] = detail::symbol_of(figures[i].unit);
    }
    print_line(name, cells);
    json_["rows"].push_back(std::move(json));
  }

  void at_least(const std::string& what, const Figure& figure, double limit) {
    goal(what, ">=", figure, limit, [limit](double value) { return value >= limit; });
  }
  void at_most(const std::string& what, const Figure& figure, double limit) {
    goal(what, "<=", figure, limit, [limit](double value) { return value <= limit; });
  }

  void note(const std::string& text) { std::cout << "  " << text << std::endl; }

 private:
  static void print_line(const std::string& name, const std::vector<std::string>& cells) {
    std::string line = "  " + name;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      line.resize(std::max(line.size() + 1, kNameWidth + i * kCellWidth), ' ');
      line += cells[i];
    }
    std::cout << line << std::endl;
  }

  template <class Reaches>
  void goal(const std::string& what, const std::string& relation, const Figure& figure, double limit,
            const Reaches& reaches) {
    const auto& rounds = figure.samples.values();
    const bool reached = reaches(figure.samples.median());
    const auto in = std::count_if(rounds.begin(), rounds.end(), reaches);
    std::cout << "  goal: " << what << ' ' << relation << ' ' << detail::with_unit(limit, figure.unit) << ": "
              << figure.text() << (reached ? ", REACHED" : ", NOT REACHED") << " (in " << in << " of "
              << rounds.size() << " rounds)" << std::endl;
    json_["goals"].push_back({{"what", what},
                              {"relation", relation},
                              {"limit", limit},
                              {"median", figure.samples.median()},
                              {"reached", reached}});
  }

  std::vector<std::string> columns_;
  nlohmann::ordered_json& json_;
};

/// All sections of one run.
class Report {
 public:
  explicit Report(const Arguments& arguments) : file_{arguments.json_file} {
    json_["command"] = arguments.command;
    std::cout << std::left << std::setw(10) << "command" << arguments.command << '\n';
    for (const auto& [name, text] : machine()) {
      json_[name] = text;
      std::cout << std::setw(10) << name << text << '\n';
    }
    json_["entries"] = arguments.entries;
    json_["rounds"] = arguments.runs;
    std::cout << std::setw(10) << "entries" << arguments.entries << '\n'
              << std::setw(10) << "figures"
              << "median (min..max) of " << arguments.runs
              << " rounds, in which the peers take turns; one more round before does not count\n";
    if (arguments.smoke)
      std::cout << "A smoke run: it shows that the benchmark works, its figures mean nothing.\n";
  }

  /// `id` names the section in the JSON.
  [[nodiscard]] Table section(const std::string& id, const std::string& title,
                              std::vector<std::string> columns) {
    sections_.emplace_back(id, nlohmann::ordered_json{});
    return Table{title, std::move(columns), sections_.back().second};
  }

  /// Writes the JSON, if somebody wants it.
  void finish() {
    if (file_.empty()) return;
    for (const auto& [id, section] : sections_) json_["sections"][id] = section;
    std::ofstream out{file_};
    out << json_.dump(2) << '\n';
    if (!out.flush()) throw std::runtime_error{"cannot write " + file_.string()};
  }

 private:
  std::filesystem::path file_;
  nlohmann::ordered_json json_;
  std::deque<std::pair<std::string, nlohmann::ordered_json>> sections_;  // tables point into it
};

}  // namespace bench
