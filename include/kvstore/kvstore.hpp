// SPDX-License-Identifier: MIT
#pragma once

// The whole core in one include: no dependency but the standard library and nlohmann/json.

#include "kvstore/detail/base/requirements.hpp"  // IWYU pragma: keep

// IWYU pragma: begin_exports
#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/codec.hpp"
#include "kvstore/error.hpp"
#include "kvstore/fields.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/key_value_store.hpp"
#include "kvstore/log.hpp"
#include "kvstore/metrics.hpp"
#include "kvstore/migrate.hpp"
#include "kvstore/options.hpp"
#include "kvstore/prometheus.hpp"
#include "kvstore/spin_shared_mutex.hpp"
#include "kvstore/storage.hpp"
#include "kvstore/storage/json_file.hpp"
#include "kvstore/storage/json_journal.hpp"
#include "kvstore/storage/memory_storage.hpp"
#include "kvstore/write_batch.hpp"
// IWYU pragma: end_exports

#ifdef KVSTORE_COMPILED
#include "kvstore/instances.ipp"  // IWYU pragma: keep
#endif
