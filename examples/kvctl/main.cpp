// SPDX-License-Identifier: MIT

// kvctl: looks at a store and works on it, without knowing its types. `kvctl --help` is the manual.

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "acting_user.hpp"
#include "arguments.hpp"
#include "help.hpp"
#include "outcome.hpp"
#include "output.hpp"
#include "reading.hpp"
#include "repair.hpp"
#include "servers.hpp"
#include "verify.hpp"
#include "writing.hpp"

namespace {

using kvctl::Arguments;
using Command = kvctl::Status (*)(const Arguments&, kvctl::Output&);

/// CLI11 takes "[a,b]" for a list where several values may come, "-word" for options, and what follows "--"
/// for something else. Keys may look like anything, so a mark stands before such words on their way through.
constexpr char kMark = '\x01';

/// No option but -h begins with a single dash.
[[nodiscard]] bool has_one_dash(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && word[1] != '-' && word != "-h";
}

[[nodiscard]] bool needs_mark(const std::string& word) {
  return word.starts_with('[') || word.starts_with(kMark) || has_one_dash(word);
}

/// The words of the command line, where "help COMMAND" means "COMMAND --help".
[[nodiscard]] std::vector<std::string> words_of(int argc, char* argv[]) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (words.empty() || words.front() != "help") return words;
  words.erase(words.begin());
  words.emplace_back("--help");
  return words;
}

[[nodiscard]] std::vector<std::string> marked(const std::vector<std::string>& line) {
  std::vector<std::string> words;
  bool literal = false;
  for (const std::string& word : line) {
    const bool separates = !literal && word == "--";
    literal = literal || separates;
    if (separates) continue;
    words.push_back(literal || needs_mark(word) ? kMark + word : word);
  }
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  return words;
}

void unmark(std::string& word) {
  if (word.starts_with(kMark)) word.erase(0, 1);
}

void unmark(Arguments& arguments) {
  for (std::string* word :
       {&arguments.path, &arguments.other, &arguments.key, &arguments.value, &arguments.prefix})
    unmark(*word);
  for (std::string& key : arguments.keys) unmark(key);
}

class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "kvctl " KVSTORE_VERSION);
    define_reading();
    define_writing();
  }

  /// @throws CLI::ParseError
  void parse(int argc, char* argv[]) {
    app_.parse(marked(words_of(argc, argv)));
    unmark(arguments_);
  }

  /// What is wrong with a line that did not parse.
  [[nodiscard]] std::string fault(const CLI::ParseError& error) const {
    const std::vector<std::string> before = app_.remaining();
    if (app_.get_subcommands().empty() || !before.empty()) return fault_without_command(before);
    const CLI::App& command = *app_.get_subcommands().front();
    for (const std::string& word : command.remaining()) {
      if (word.starts_with("--"))
        return command.get_name() + " has no option " + word +
               "; a key or value that begins with -- comes after --";
    }
    std::string text = error.what();
    std::erase(text, kMark);
    return text;
  }

  [[nodiscard]] bool names_no_command() const {
    return app_.get_subcommands().empty() && !app_.remaining().empty();
  }
  /// Runs the command.
  kvctl::Status run(kvctl::Output& out) const {
    if (kvctl::is_on_servers(arguments_.path) || kvctl::is_on_servers(arguments_.other))
      return kvctl::run_on_servers(app_.get_subcommands().front()->get_name(), arguments_, out);
    return command_(arguments_, out);
  }
  /// The manual, or a command's own help.
  [[nodiscard]] std::string help() const {
    return app_.get_subcommands().empty() ? kvctl::kHelp : app_.get_subcommands().front()->help("kvctl");
  }

 private:
  [[nodiscard]] static std::string fault_without_command(const std::vector<std::string>& words) {
    if (words.empty()) return "name a command and a store";
    std::string word = words.front();
    unmark(word);
    if (word.starts_with('-')) return word + ": options come after the command";
    return "there is no command \"" + word + '"';
  }

  void define_reading() {
    CLI::App* const get = add("get", "Print the JSON of a value", kvctl::get);
    get->add_option("KEY", arguments_.key, "the key")->required();

    CLI::App* const ls = add("ls", "List the keys, in the order of the file", kvctl::ls);
    ls->add_option("--prefix", arguments_.prefix, "only keys that start so");
    ls->add_flag("--values", arguments_.values, "with the value, behind a tab");
    ls->add_flag("--json", arguments_.json, "as a JSON array; with --values as an object");

    CLI::App* const watch = add("watch", "Print changes as they happen, of etcd", kvctl::watch);
    watch->add_option("--prefix", arguments_.prefix, "only keys that start so");

    CLI::App* const stat = add("stat", "Tell how many entries, how large, who has it open", kvctl::stat);
    stat->add_flag("--json", arguments_.json, "as JSON");

    CLI::App* const verify = add("verify", "Read everything strictly, and explain damage", kvctl::verify);
    verify->add_flag("--json", arguments_.json, "as JSON");

    CLI::App* const exported = add("export", "Write the entries as a JSON object", kvctl::export_entries);
    exported->add_option("FILE", arguments_.other, "where to; standard output if left out");
    exported->add_flag("--replace", arguments_.replace, "replace FILE");
  }

  void define_writing() {
    CLI::App* const put = add("put", "Store a value", kvctl::put);
    put->add_option("KEY", arguments_.key, "the key")->required();
    put->add_option("VALUE", arguments_.value, "JSON; standard input if left out or -");
    auto* const create = put->add_flag("--create", arguments_.create, "refuse to replace a value");
    put->add_flag("--update", arguments_.update, "refuse to add a key")->excludes(create);
    add_integer_keys(put);

    CLI::App* const rm = add("rm", "Remove entries: all of those, or none", kvctl::rm);
    rm->add_option("KEY", arguments_.keys, "the keys")->required();

    add("compact", "Fold the journal; give back the room of what was removed", kvctl::compact);

    CLI::App* const imported = add("import", "Take the entries of a JSON object", kvctl::import_entries);
    imported->add_option("FILE", arguments_.other, "where from; standard input if left out or -");
    imported->add_flag("--replace", arguments_.replace, "remove all other entries");
    add_integer_keys(imported);

    CLI::App* const migrate = add("migrate", "Copy everything to another store", kvctl::migrate);
    migrate->add_option("TO", arguments_.other, "the store to copy to")->required();
    migrate->add_flag("--replace", arguments_.replace, "replace what TO holds");
    add_storage(migrate, "--to-storage", arguments_.to_storage);
    add_integer_keys(migrate);

    CLI::App* const repair = add("repair", "Write what can be saved into a new file", kvctl::repair);
    repair->add_option("NEW", arguments_.other, "a file that does not exist")->required();
    repair->add_flag("--until-damage", arguments_.until_damage,
                     "of a journal, only what comes before its first damage: a state that there was");
  }

  CLI::App* add(const char* name, const char* description, Command command) {
    CLI::App* const added = app_.add_subcommand(name, description);
    added->add_option("PATH", arguments_.path, "the store")->required();
    add_storage(added, "--storage", arguments_.storage);
    added->callback([this, command] { command_ = command; });
    return added;
  }

  static void add_storage(CLI::App* to, const char* name, std::string& storage) {
    to->add_option(name, storage, "json, journal or sqlite, instead of what the files say")
        ->check(CLI::IsMember({"json", "journal", "sqlite"}))
        ->option_text("KIND");
  }

  void add_integer_keys(CLI::App* to) {
    to->add_flag("--integer-keys", arguments_.integer_keys, "keep the keys of a database as INTEGER");
  }

  CLI::App app_{"Looks at a key-value store and works on it", "kvctl"};
  Arguments arguments_;
  Command command_ = nullptr;
};

/// Ends in an error's status. What was printed before it is shown.
template <class Do>
kvctl::Status guarded(kvctl::Output& out, const Do& action) {
  try {
    const kvctl::Status status = action();
    out.flush();
    return status;
  } catch (const kvctl::ReaderGone&) { return kvctl::kDone; } catch (const std::exception& error) {
    const auto* const failure = dynamic_cast<const kvctl::Failure*>(&error);
    kvctl::complain(error.what() + kvctl::acting_note, failure == nullptr ? "" : failure->advice());
    try {
      out.flush();
    } catch (...) {  // the message above is the one that matters
    }
    return kvctl::status_of(error);
  }
}

kvctl::Status run(CommandLine& line, kvctl::Output& out, int argc, char* argv[]) {
  try {
    line.parse(argc, argv);
  } catch (const CLI::CallForHelp& error) {
    if (line.names_no_command())
      throw kvctl::Failure{kvctl::kUsage, line.fault(error), "See `kvctl --help`."};
    out.append(line.help());
    return kvctl::kDone;
  } catch (const CLI::CallForVersion& version) {
    out.append(version.what());
    out.append("\n");
    return kvctl::kDone;
  } catch (const CLI::ParseError& error) {
    throw kvctl::Failure{kvctl::kUsage, line.fault(error), "See `kvctl --help`."};
  }
  return line.run(out);
}

}  // namespace

int main(int argc, char* argv[]) {
  ::signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as EPIPE
  kvctl::Output out;
  CommandLine line;
  return guarded(out, [&] { return run(line, out, argc, argv); });
}
