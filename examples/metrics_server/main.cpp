// SPDX-License-Identifier: MIT

// metrics_server: serves a store over HTTP, with a page to watch and edit it. `metrics_server --help` is the
// manual.

#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <kvstore/error.hpp>
#include <kvstore/log.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "demo_load.hpp"
#include "entries_api.hpp"
#include "follower.hpp"
#include "guard.hpp"
#include "history.hpp"
#include "metrics_api.hpp"
#include "options.hpp"
#include "outcome.hpp"
#include "place.hpp"
#include "routes.hpp"
#include "server.hpp"
#include "store.hpp"
#include "visible.hpp"

namespace {

using namespace metrics_server;

/// Takes the numbers of standard input, output and error where they are closed, so that no connection gets
/// one: what is printed would go to a client. Opened the wrong way round, they refuse as closed ones do.
void occupy_standard_files() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) != -1) continue;
    static_cast<void>(::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

/// Makes the C library map each large block by itself, and so return it to the system when it is freed.
/// Otherwise its threshold grows with the blocks that are freed, and the heaps of all threads keep their
/// blocks: a gigabyte of them.
void return_large_blocks() {
#ifdef __GLIBC__
  static_cast<void>(::mallopt(M_MMAP_THRESHOLD, 1024 * 1024));
#endif
}

/// A folder that is gone when the program ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "metrics_server.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Failure{kFailed, name + ": cannot be made"};
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path file(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The signals that end the program. Blocked before the first thread starts, so that only `wait` takes them.
class EndSignals {
 public:
  EndSignals() {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGINT);
    ::sigaddset(&set_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  void wait() const {
    int signal = 0;
    ::sigwait(&set_, &signal);
  }
  /// From now on a signal ends the program at once: for who has not the patience.
  void release() const { ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_{};
};

[[nodiscard]] kvstore::Options store_options(const Options& options) {
  return {.batch_size = options.batch_size,
          .auto_save_interval =
              std::chrono::milliseconds{static_cast<std::int64_t>(options.save_interval * 1000)},
          .read_only = options.read_only,
          .logger = [](const kvstore::LogEvent& event) { complain(to_string(event)); },
          .log_level = kvstore::LogLevel::warning};
}

[[nodiscard]] Guard::Policy policy_of(const Options& options) {
  Guard::Policy policy{.token = token_of(options),
                       .check_host = is_loopback(options.address) || !options.host_names.empty(),
                       .host_names = options.host_names,
                       .max_body = options.max_body};
  const bool is_v6 = options.address.find(':') != std::string::npos;
  for (const std::string& name : {std::string{"localhost"}, std::string{"127.0.0.1"}, std::string{"[::1]"},
                                  is_v6 ? "[" + options.address + "]" : options.address})
    policy.host_names.push_back(name);
  return policy;
}

[[nodiscard]] std::unique_ptr<Server> bind(const Routes& routes, const Options& options) {
  const std::string address = options.address == "localhost" ? "127.0.0.1" : options.address;
  try {
    return std::make_unique<Server>(routes, address, static_cast<unsigned short>(options.port));
  } catch (const boost::system::system_error& error) {
    throw Failure{kFailed, address + " port " + std::to_string(options.port) +
                               ": cannot be served: " + error.code().message() +
                               ": another program may have it; --port 0 takes any that is free"};
  }
}

[[nodiscard]] std::string url(const Options& options, int port) {
  const bool is_v6 = options.address.find(':') != std::string::npos;
  return "http://" + (is_v6 ? "[" + options.address + "]" : options.address) + ":" + std::to_string(port) +
         "/";
}

/// @throws what `Store::close` throws: not everything is on disk then
void close(Store& store, const Options& options) {
  try {
    store.close();
  } catch (const kvstore::StorageError&) {
    complain("not on disk: " + std::to_string(store.unsaved()) + " changes");
    throw;
  }
  if (options.read_only)
    std::cout << "ended" << std::endl;
  else
    std::cout << "ended: " << store.metrics().applied << " changes, everything is on disk" << std::endl;
}

void announce(const Options& options, int port, const std::filesystem::path& path, std::size_t entries) {
  std::cout << url(options, port) << " serves " << visible(path.string()) << ": " << entries << " entries"
            << std::endl;
  if (!is_loopback(options.address))
    complain("other machines reach this, and nothing is encrypted: put a proxy with TLS before it");
}

/// Until a signal comes. @returns whether it came from outside, and not since nobody could connect any more
bool serve(Store& store, const std::filesystem::path& path, Guard guard, const Options& options,
           const EndSignals& signals) {
  const History history{store};
  EntriesApi entries{store};
  std::optional<Follower> follower;
  if (options.read_only) follower.emplace(store);
  const MetricsApi metrics{
      store,
      history,
      {visible(path.filename().string()), options.batch_size, follower ? &*follower : nullptr}};
  const Routes routes{std::move(guard), entries, store, metrics, options.read_only};
  const std::unique_ptr<Server> server = bind(routes, options);
  std::optional<DemoLoad> load;
  if (options.demo) load.emplace(store);

  std::atomic<bool> deaf{false};
  server->begin([&deaf] {
    deaf = true;
    ::kill(::getpid(), SIGTERM);
  });
  announce(options, server->port(), path, store.size());
  if (load) load->begin();
  signals.wait();
  signals.release();
  server->end();
  return !deaf;
}

void run(const Options& options, const EndSignals& signals) {
  Guard guard{policy_of(options)};  // before anything is opened: it may refuse
  std::optional<TemporaryFolder> folder;
  std::filesystem::path path = options.path;
  if (path.empty()) path = folder.emplace().file("demo.json");

  Store store{make_storage(options, path), store_options(options)};
  const bool served = serve(store, path, std::move(guard), options, signals);
  close(store, options);
  if (!served) throw Failure{kFailed, "the system took no more connections"};
}

Status guarded(const Options& options, const EndSignals& signals) {
  try {
    run(options, signals);
    return kDone;
  } catch (const std::exception& error) {
    complain(error.what());
    return status_of(error);
  }
}

}  // namespace

int main(int argc, char* argv[]) {
  return_large_blocks();
  occupy_standard_files();
  ::signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as EPIPE
  const EndSignals signals;
  Options options;
  try {
    parse(argc, argv, options);
  } catch (const CLI::CallForHelp&) {
    std::cout << kHelp;
    return kDone;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n';
    return kDone;
  } catch (const CLI::ParseError& error) {
    complain(std::string{error.what()} + "; see `metrics_server --help`");
    return kUsage;
  }
  return guarded(options, signals);
}
