// SPDX-License-Identifier: MIT

// Copies from a storage with damaged values: no store decodes the copied values.

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/memory_storage.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"
#include "support/text_entries.hpp"

#if __has_include(<sqlite3.h>)
#include "kvstore/storage/sqlite.hpp"
#include "support/output_of.hpp"
#endif

namespace migrate_test { namespace {

using support::TempFolder;
using Ints = kvstore::BatchPersistentKeyValueStore<std::string, int>;

/// Texts that are not one JSON value. In a JSON file, the second and the third would add entries.
const std::vector<std::string> kDamaged{"2x222", "1,\n\"z\":3", "}{", "",   "1 2",
                                        "01",    "\"\xff\"",    "[1", "NaN"};

/// Requires that nothing of `from` gets into a target of any kind, and that the target stays unchanged.
void require_refused(kvstore::Storage& from) {
  for (const support::StorageCase& kind : support::storages()) {
    const TempFolder folder;
    CAPTURE(kind.name);
    {
      Ints store{kind.open(folder.path())};
      store.create("precious", 1);
      store.close();
    }
    const auto to = kind.open(folder.path());
    if (to->path() == from.path()) continue;  // migrate() takes two memories for one
    CHECK_THROWS_AS(kvstore::migrate(from, *to, {.replace = true}), kvstore::CorruptionError);
    CHECK(support::load_from(*to) == support::TextEntries{{"precious", "1"}});
  }
}

TEST_CASE("Migrate: a damaged value of a storage of a user's is refused, and the target stays as it was") {
  for (const std::string& damaged : kDamaged) {
    CAPTURE(damaged);
    const auto disk = std::make_shared<support::Disk>();
    disk->entries = {{"a", "1"}, {"b", damaged}};
    kvstore::MemoryStorage from{disk};
    require_refused(from);
  }
}

TEST_CASE("Migrate: a damaged value of a JSON file is refused, and the target stays as it was") {
  for (const char* damaged : {"2x222", "01", "\"\xff\"", "NaN"}) {
    CAPTURE(damaged);
    const TempFolder folder;
    std::ofstream{folder / "from.json"} << "{\n\"a\": 1,\n\"b\": " << damaged << "\n}\n";
    kvstore::JsonFile file{folder / "from.json"};
    require_refused(file);
    kvstore::JsonJournal journal{folder / "from.json"};
    require_refused(journal);
  }
}

#if __has_include(<sqlite3.h>)
TEST_CASE("Migrate: a damaged value of a database is refused, and the target stays as it was") {
  const TempFolder folder;
  const std::string path = (folder / "from.db").string();
  {
    Ints store{std::make_unique<kvstore::Sqlite>(path)};
    store.create("a", 1);
    store.close();
  }
  support::output_of("sqlite3 " + path +
                     " \"update entries set value = '1,' || char(10) || char(34) || 'z' || "
                     "char(34) || ':3'\"");
  kvstore::Sqlite from{path};
  require_refused(from);
}
#endif

}}  // namespace migrate_test::(anonymous)
