// SPDX-License-Identifier: MIT

#include "servers.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <kvstore/codec.hpp>
#include <kvstore/log.hpp>
#include <kvstore/migrate.hpp>
#include <kvstore/write_batch.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "entries.hpp"
#include "output.hpp"
#include "places.hpp"
#include "reading.hpp"
#include "text.hpp"
#include "writing.hpp"
#ifdef KVCTL_HAS_REDIS
#include <kvstore/redis_cluster_key_value_store.hpp>
#include <kvstore/redis_tls.hpp>
#endif
#ifdef KVCTL_HAS_ETCD
#include <kvstore/etcd_key_value_store.hpp>
#endif

namespace kvctl {

/// The JSON of a value, as it stands, on one line.
struct JsonText {
  std::string text;
};

}  // namespace kvctl

template <>
struct kvstore::Codec<kvctl::JsonText> {
  static void encode(const kvctl::JsonText& value, JsonWriter& out) { out.raw(value.text); }
  static kvctl::JsonText decode(JsonReader& in) { return {kvctl::on_one_line(in.skip_value())}; }
};

namespace kvctl { namespace {

using Batch = kvstore::WriteBatch<std::string, JsonText>;
constexpr std::size_t kMostEntries = 100;  // of a batch: below etcd's limit for one transaction

/// SCHEME://[USER@]HOST:PORT[,HOST:PORT]...[/PREFIX]
struct Address {
  std::string scheme;
  std::string user;
  std::vector<std::string> hosts;
  std::string prefix;
};

[[nodiscard]] Address parse_address(const std::string& path) {
  Address address;
  std::size_t at = path.find("://");
  address.scheme = path.substr(0, at);
  std::string hosts = path.substr(at + 3);
  if ((at = hosts.find('/')) != std::string::npos) {
    address.prefix = hosts.substr(at + 1);
    hosts.resize(at);
  }
  if ((at = hosts.rfind('@')) != std::string::npos) {
    address.user = hosts.substr(0, at);
    hosts.erase(0, at + 1);
  }
  if (address.user.find(':') != std::string::npos) {
    throw Failure{kUsage,
                  "a password in a path could be seen by others; set KVCTL_PASSWORD in the environment"};
  }
  while (!hosts.empty()) {
    const std::size_t end = std::min(hosts.find(','), hosts.size());
    address.hosts.push_back(hosts.substr(0, end));
    hosts.erase(0, end + 1);
  }
  return address;
}

[[nodiscard]] std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

[[noreturn, maybe_unused]] void throw_unreachable(const std::string& scheme, const char* component) {
  throw Failure{kUsage,
                "this kvctl was built without " + std::string{component} + ", which " + scheme + ":// needs"};
}

/// Says at once which host fails, as the store goes on trying for so long.
[[nodiscard]] std::function<void(const kvstore::LogEvent&)> teller(std::chrono::milliseconds timeout) {
  return [timeout](const kvstore::LogEvent& event) {
    if (event.event != "node failed") return;
    std::string node;
    std::string error;
    for (const kvstore::LogField& field : event.fields) {
      const auto* const text = std::get_if<std::string_view>(&field.value);
      if (text == nullptr) continue;
      if (field.name == "node") node = *text;
      if (field.name == "error") error = *text;
    }
    if (!error.starts_with(node)) error.insert(0, node + ": ");
    complain(error, "kvctl goes on trying for " + std::to_string(timeout.count() / 1000) + " s at most");
  };
}

/// Calls `use(store)` with the store of a path. Its keys begin with the path's prefix, and then with `more`.
template <class Use>
auto with_store(const std::string& path, const std::string& more, const Use& use) {
  const Address address = parse_address(path);
  if (address.scheme.starts_with("redis")) {
#ifdef KVCTL_HAS_REDIS
    kvstore::RedisClusterOptions options{.seeds = address.hosts,
                                         .user = address.user,
                                         .password = from_environment("KVCTL_PASSWORD"),
                                         .key_prefix = address.prefix + more,
                                         .log_level = kvstore::LogLevel::warning,
                                         .round_numbers = true};
    options.logger = teller(options.timeout);
    if (address.scheme == "rediss")
      options.tls = kvstore::redis_tls({.ca_file = from_environment("KVCTL_CA_FILE")});
    kvstore::RedisClusterKeyValueStore<std::string, JsonText> store{options};
    return use(store);
#else
    throw_unreachable(address.scheme, "hiredis");
#endif
  }
#ifdef KVCTL_HAS_ETCD
  kvstore::EtcdOptions options;
  options.endpoints = address.hosts;
  options.user = address.user;
  options.password = from_environment("KVCTL_PASSWORD");
  options.key_prefix = address.prefix + more;
  options.tls = address.scheme == "etcds";
  if (options.tls) options.ca_file = from_environment("KVCTL_CA_FILE");
  options.logger = teller(options.timeout);
  options.log_level = kvstore::LogLevel::warning;
  options.round_numbers = true;
  kvstore::EtcdKeyValueStore<std::string, JsonText> store{options};
  return use(store);
#else
  throw_unreachable(address.scheme, "cpp-httplib");
#endif
}

[[nodiscard]] Failure no_such_key(const std::string& path, const std::string& key) {
  return Failure{kNoSuchKey, path + ": key " + shown(key) + " does not exist"};
}

// --- the commands ---

Status get_of(const Arguments& arguments, Output& out) {
  return with_store(arguments.path, {}, [&](auto& store) {
    const std::optional<JsonText> value = store.try_read(arguments.key);
    if (!value) throw no_such_key(arguments.path, arguments.key);
    out.append_json(value->text);
    out.append("\n");
    return kDone;
  });
}

Status put_to(const Arguments& arguments, Output&) {
  check_key(arguments.key);
  const JsonText value{value_of(arguments)};
  return with_store(arguments.path, {}, [&](auto& store) {
    if (arguments.update) {
      if (!store.try_update(arguments.key, value)) throw no_such_key(arguments.path, arguments.key);
    } else if (arguments.create) {
      if (!store.try_create(arguments.key, value))
        throw Failure{kNoSuchKey, arguments.path + ": key " + shown(arguments.key) + " exists already"};
    } else {
      store.upsert(arguments.key, value);
    }
    return kDone;
  });
}

Status rm_from(const Arguments& arguments, Output&) {
  const std::set<std::string> keys{arguments.keys.begin(), arguments.keys.end()};
  return with_store(arguments.path, {}, [&](auto& store) {
    for (const std::string& key : keys) {
      if (!store.contains(key)) throw no_such_key(arguments.path, key);
    }
    Batch batch;
    for (const std::string& key : keys) {
      batch.remove(key);
      if (batch.size() < kMostEntries) continue;
      store.apply(batch);
      batch.clear();
    }
    store.apply(batch);
    return kDone;
  });
}

/// A store of the keys with this prefix finds others broken, if the prefix ends within a character.
void check_prefix(const Arguments& arguments) {
  if (!is_utf8(arguments.prefix)) throw Failure{kUsage, "the prefix is not valid UTF-8"};
}

Status ls_of(const Arguments& arguments, Output& out) {
  check_prefix(arguments);
  Listing listing{arguments, out};
  with_store(arguments.path, arguments.prefix, [&](auto& store) {
    store.for_each([&](const std::string& rest, const JsonText& value) {
      listing.add(arguments.prefix + rest, value.text);
    });
  });
  listing.end();
  return kDone;
}

Status export_from(const Arguments& arguments, Output& out) {
  return with_store(arguments.path, {}, [&](auto& store) {
    if (arguments.other.empty() || arguments.other == "-") {
      ExportSink sink{out};
      store.for_each([&](const std::string& key, const JsonText& value) { sink.put(key, value.text); });
      sink.finish();
      return kDone;
    }
    const Place target = find_place(arguments.other, "json");
    if (target.exists && !arguments.replace)
      throw Failure{kNoSuchKey, arguments.other + ": exists already; name a new file, or say --replace"};
    check_writable(target.path);
    kvstore::JsonFile to{target.path};
    kvstore::migrate(store, to, {.replace = arguments.replace});
    return kDone;
  });
}

/// Changes that travel together, so many that round trips are cheap.
template <class Store>
void put_all(Store& store, const std::vector<Entry>& entries) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  Batch batch;
  std::size_t bytes = 0;
  for (const Entry& entry : entries) {
    const std::size_t size = entry.key.size() + entry.value->size();
    if (batch.size() == kMostEntries || (bytes + size > kMostBytes && !batch.empty())) {
      store.apply(batch);
      batch.clear();
      bytes = 0;
    }
    bytes += size;
    batch.upsert(entry.key, JsonText{*entry.value});
  }
  store.apply(batch);
}

Status import_to(const Arguments& arguments, Output&) {
  const Imported imported = read_object(arguments.other);
  if (imported.version != 0)
    throw Failure{kUsage, "what is to be imported has a schema version, and servers keep none"};
  return with_store(arguments.path, {}, [&](auto& store) {
    put_all(store, imported.entries);
    if (arguments.replace) {  // at the end: if it does not come to that, nothing is lost
      std::set<std::string, std::less<>> keys;
      for (const Entry& entry : imported.entries) keys.insert(entry.key);
      store.remove_unless([&](std::string_view key) { return keys.contains(key); });
    }
    return kDone;
  });
}

Status migrate_between(const Arguments& arguments, Output& out) {
  ProgressBar bar{"migrating"};
  const kvstore::MigrateOptions how{.replace = arguments.replace, .on_progress = std::ref(bar)};
  const auto copy = [&](auto& from, auto& to) {
    if (!arguments.replace && !to.empty())
      throw Failure{kNoSuchKey,
                    arguments.other + ": holds entries already; name an empty store, or say --replace"};
    return kvstore::migrate(from, to, how);
  };
  const auto from_file = [&](auto& to) {
    const auto source = open_to_read(find_existing(arguments.path, arguments.storage));
    CheckedStorage checked{*source};
    return copy(checked, to);
  };
  const auto from_servers = [&](auto& from) {
    if (is_on_servers(arguments.other))
      return with_store(arguments.other, {}, [&](auto& to) { return copy(from, to); });
    const auto target = open_to_write(find_place(arguments.other, arguments.to_storage));
    return kvstore::migrate(from, *target, how);
  };
  const std::uint64_t count = is_on_servers(arguments.path) ? with_store(arguments.path, {}, from_servers)
                                                            : with_store(arguments.other, {}, from_file);
  out.append(std::to_string(count) + (count == 1 ? " entry\n" : " entries\n"));
  return kDone;
}

/// Prints changes as they happen, a line each: the key, and behind a tab the value, if it was not removed.
Status watch_at(const Arguments& arguments, Output& out) {
  if (!arguments.path.starts_with("etcd"))
    throw Failure{kUsage, arguments.path + ": only etcd tells of changes"};
  check_prefix(arguments);
#ifdef KVCTL_HAS_ETCD
  ::sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // of the watch's threads, too
  return with_store(arguments.path, arguments.prefix, [&](auto& store) {
    if constexpr (requires { store.watch([](const auto&...) {}); }) {
      std::mutex mutex;
      std::exception_ptr failure;
      const auto ended = [&](std::exception_ptr why) {
        const std::lock_guard lock{mutex};
        failure = std::move(why);
        ::kill(::getpid(), SIGTERM);  // wakes the wait below
      };
      const auto watch = store.watch(
          [&](const std::string& rest, const std::optional<JsonText>& value, std::int64_t) {
            try {
              out.append_key(arguments.prefix + rest);
              if (value) out.append("\t");
              if (value) out.append_json(value->text);
              out.append("\n");
              out.flush();
            } catch (const ReaderGone&) { ended(std::make_exception_ptr(ReaderGone{})); }
          },
          [&](const std::exception& error) {
            ended(std::make_exception_ptr(Failure{status_of(error), error.what()}));
          });
      int signal = 0;
      ::sigwait(&ends, &signal);
      const std::lock_guard lock{mutex};
      if (failure) std::rethrow_exception(failure);
    }
    return kDone;
  });
#else
  throw_unreachable("etcd", "cpp-httplib");
#endif
}

}}  // namespace kvctl

kvctl::Status kvctl::run_on_servers(const std::string& command, const Arguments& arguments, Output& out) {
  using Command = Status (*)(const Arguments&, Output&);
  static const std::map<std::string, Command> kCommands{{"get", get_of},
                                                        {"put", put_to},
                                                        {"rm", rm_from},
                                                        {"ls", ls_of},
                                                        {"export", export_from},
                                                        {"import", import_to},
                                                        {"migrate", migrate_between},
                                                        {"watch", watch_at}};
  const auto found = kCommands.find(command);
  if (found != kCommands.end()) return found->second(arguments, out);
  throw Failure{kUsage, command + " looks at files, and " + arguments.path + " is on servers"};
}
