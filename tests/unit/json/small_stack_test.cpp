// SPDX-License-Identifier: MIT

// The documented limit of nesting must fit into a small stack: musl gives threads 128 KiB.

#ifndef _WIN32

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/stride.hpp"
#include "support/temp_folder.hpp"

namespace small_stack_test {

using kvstore::kMaxDepth;
using nlohmann::json;
using support::TempFolder;
using namespace std::chrono_literals;

/// A recursive type. Each level of nesting is an object and an array.
struct Node {
  std::vector<Node> children;
};
constexpr auto kvstore_fields(const Node*) {
  return kvstore::fields("children", &Node::children).drop_unknown();
}

namespace {

constexpr std::size_t kTimes = support::kWorkloadStride == 1 ? 1 : 8;  // sanitizers enlarge a frame

/// Runs `work` in a thread with a small stack, and returns the message of the exception that it threw.
std::string on_small_stack(std::size_t bytes, const std::function<void()>& work) {
  struct Task {
    const std::function<void()>& work;
    std::string failure;
  } task{work, {}};
  const auto run = [](void* of) -> void* {
    auto& the_task = *static_cast<Task*>(of);
    try {
      the_task.work();
    } catch (const std::exception& error) { the_task.failure = error.what(); }
    return nullptr;
  };
  ::pthread_attr_t attributes{};
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, bytes * kTimes);
  ::pthread_t thread{};
  const int refused = ::pthread_create(&thread, &attributes, run, &task);
  ::pthread_attr_destroy(&attributes);
  if (refused != 0) throw std::runtime_error{"pthread_create failed"};
  ::pthread_join(thread, nullptr);
  return task.failure;
}

constexpr std::size_t kMusl = std::size_t{128} << 10;
constexpr std::size_t kOldMusl = std::size_t{80} << 10;

std::string repeated(int times, const std::string& text) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
std::string arrays(int levels) { return repeated(levels, "[") + repeated(levels, "]"); }
std::string objects(int levels) { return repeated(levels, "{\"k\":") + "1" + repeated(levels, "}"); }
std::string nodes(int levels) { return repeated(levels / 2, "{\"children\":[") + repeated(levels / 2, "]}"); }

const kvstore::Options kManual{.batch_size = 0, .auto_save_interval = 0s};

/// Loads, visits and saves in the thread. Does not copy the value, since nlohmann's copying is recursive.
template <class Value>
void use(const std::filesystem::path& path) {
  kvstore::BatchPersistentKeyValueStore<std::string, Value> store{
      std::make_unique<kvstore::JsonJournal>(path), kManual};
  store.upsert("other", Value{});
  store.compact();
  store.visit("deep", [](const Value&) {});
  store.close();
}

}  // namespace

TEST_CASE("Small stack: values nested as deep as the limit load and save in a thread of 128 or 80 KiB") {
  for (const std::size_t stack : {kMusl, kOldMusl}) {
    for (const std::string& value : {arrays(kMaxDepth), objects(kMaxDepth)}) {
      const TempFolder folder;
      const auto path = folder / "data.json";
      support::write_file(path, "{\"deep\": " + value + "}");
      REQUIRE(on_small_stack(stack, [&] { use<json>(path); }) == "");
      CHECK(support::read_file(path).find(value) != std::string::npos);
    }
  }
}

TEST_CASE("Small stack: a value beyond the limit is refused in a thread of 80 KiB, written or read") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  support::write_file(path, "{\"deep\": " + objects(kMaxDepth + 1) + "}");
  CHECK_THAT(on_small_stack(kOldMusl, [&] { use<json>(path); }),
             Catch::Matchers::ContainsSubstring("at most 512 levels"));
  json deep = 1;
  for (int i = 0; i <= kMaxDepth; ++i) deep = json::array({std::move(deep)});
  CHECK_THAT(on_small_stack(kOldMusl, [&] { kvstore::Codec<json>::check(deep); }),
             Catch::Matchers::ContainsSubstring("more than 512 levels"));
}

TEST_CASE("Small stack: members that nobody reads are passed over, however deep, in a thread of 80 KiB") {
  const std::string text = "{\"unknown\":" + objects(kMaxDepth - 1) + ",\"children\":[]}";
  CHECK(on_small_stack(kOldMusl, [&] {
          kvstore::JsonReader in{text};
          static_cast<void>(kvstore::Codec<Node>::decode(in));
          in.finish();
        }) == "");
}

TEST_CASE("Small stack: a type that contains itself takes half of the limit in a thread of 128 KiB") {
  const TempFolder folder;
  const auto path = folder / "data.json";
  support::write_file(path, "{\"deep\": " + nodes(kMaxDepth / 2) + "}");
  CHECK(on_small_stack(kMusl, [&] { use<Node>(path); }) == "");
}

}  // namespace small_stack_test

#endif
