// SPDX-License-Identifier: MIT

// A user's storage that delivers entries in an order that the contract does not allow.

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"

namespace load_order_test { namespace {

using Catch::Matchers::ContainsSubstring;
using Ints = kvstore::BatchPersistentKeyValueStore<std::string, int>;

/// Loads by a script of the test, and saves nothing.
class ScriptedStorage final : public kvstore::Storage {
 public:
  explicit ScriptedStorage(std::function<void(kvstore::LoadSink&)> script) : script_{std::move(script)} {}
  void load(const kvstore::LoadRequest&, kvstore::LoadSink& sink) override { script_(sink); }
  [[nodiscard]] kvstore::SaveScope scope() const noexcept override { return kvstore::SaveScope::everything; }
  void save(kvstore::ChangeSource&) override {}

 private:
  std::function<void(kvstore::LoadSink&)> script_;
};

[[nodiscard]] Ints open(std::function<void(kvstore::LoadSink&)> script) {
  return Ints{std::make_unique<ScriptedStorage>(std::move(script))};
}

void require_refused(const std::function<void(kvstore::LoadSink&)>& script) {
  CHECK_THROWS_AS(open(script), kvstore::UsageError);
  CHECK_THROWS_WITH(open(script), ContainsSubstring("hand over later entries through change()"));
}

TEST_CASE("Load order: an entry after the end of the entries is refused, not lost from sight") {
  require_refused([](kvstore::LoadSink& sink) {
    sink.put("a", "1");
    sink.finish();
    sink.put("b", "2");
  });
  require_refused([](kvstore::LoadSink& sink) {
    sink.change({"a", "1"});
    sink.put("b", "2");
  });
  require_refused([](kvstore::LoadSink& sink) {
    sink.put("a", "1");
    sink.clear();
    sink.put("b", "2");
  });
  require_refused([](kvstore::LoadSink& sink) {
    const auto stage = sink.stage();
    stage->put("a", "1");
    sink.finish();
    stage->commit();
  });
}

TEST_CASE("Load order: changes may come after everything was discarded, and their keys are found") {
  Ints store = open([](kvstore::LoadSink& sink) {
    sink.put("a", "1");
    sink.clear();
    sink.change({"b", "2"});
    sink.change({"b", "3"});
    sink.finish();
  });
  CHECK(store.size() == 1);
  CHECK_FALSE(store.contains("a"));
  CHECK(store.read("b") == 3);
}

}}  // namespace load_order_test::(anonymous)
