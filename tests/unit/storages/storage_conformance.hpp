// SPDX-License-Identifier: MIT
#pragma once

// Runs a test over every storage (support/storages.hpp). The files storage_conformance_*_test.cpp hold the
// requirements that all storages must meet.

#include <chrono>
#include <functional>
#include <map>

#include "kvstore/kvstore.hpp"
#include "support/catch.hpp"
#include "support/contents_of.hpp"
#include "support/storages.hpp"
#include "support/temp_folder.hpp"

namespace storage_conformance {

using kvstore::Options;
using support::contents_of;
using support::StorageCase;
using support::storages;
using support::TempFolder;
using namespace std::chrono_literals;

inline const Options kManual{.batch_size = 0, .auto_save_interval = 0s};

template <class Key, class Value>
using Store = kvstore::BatchPersistentKeyValueStore<Key, Value>;

/// Runs the body of a test once for each storage, each time in a section and a folder of its own.
inline void for_each_storage(const std::function<void(const StorageCase&, const TempFolder&)>& body) {
  for (const StorageCase& storage : storages()) {
    DYNAMIC_SECTION(storage.name) {
      const TempFolder folder;
      body(storage, folder);
    }
  }
}

}  // namespace storage_conformance
