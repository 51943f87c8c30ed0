// SPDX-License-Identifier: MIT
#pragma once

// The templates that the compiled part has instances of: the driver of saves, and stores of strings by
// strings. A program instantiates what depends on other types.

#include <functional>
#include <shared_mutex>
#include <string>

#include "kvstore/batch_persistent_key_value_store.hpp"
#include "kvstore/detail/base/per_thread.hpp"
#include "kvstore/detail/base/waiting.hpp"
#include "kvstore/detail/saving/driver.hpp"
#include "kvstore/detail/segment/cut.hpp"
#include "kvstore/detail/segment/guards.hpp"
#include "kvstore/detail/segment/snapshot_source.hpp"
#include "kvstore/detail/segment/thread_state.hpp"
#include "kvstore/detail/store/shared_tables.hpp"
#include "kvstore/detail/table/dense_map.hpp"
#include "kvstore/detail/table/table_store.hpp"
#include "kvstore/hash.hpp"
#include "kvstore/key_value_store.hpp"

#ifdef KVSTORE_COMPILING
#define KVSTORE_EXTERN
#else
#define KVSTORE_EXTERN extern
#define KVSTORE_INSTANCES_ARE_ELSEWHERE
#endif

namespace kvstore { inline namespace v1 {

KVSTORE_EXTERN template class detail::PerThread<detail::ThreadState>;
KVSTORE_EXTERN template class detail::SaveDriver<detail::StandardMeans>;

KVSTORE_EXTERN template class detail::DenseMap<std::string, std::string>;
KVSTORE_EXTERN template class detail::TableStore<std::string, std::string, Hash<std::string>,
                                                 std::equal_to<>>;
KVSTORE_EXTERN template class KeyValueStore<std::string, std::string>;
KVSTORE_EXTERN template struct detail::SegmentGuard<std::string, std::string, std::shared_mutex>;
KVSTORE_EXTERN template class detail::Segments<std::string, std::string, std::shared_mutex>;
KVSTORE_EXTERN template class detail::SegmentCut<std::string, std::string>;
KVSTORE_EXTERN template class detail::OpenCut<std::string, std::string, std::shared_mutex>;
KVSTORE_EXTERN template class detail::SnapshotSource<std::string, std::string, std::shared_mutex>;
KVSTORE_EXTERN template class detail::SharedTables<std::string, std::string, std::shared_mutex>;
KVSTORE_EXTERN template class BatchPersistentKeyValueStore<std::string, std::string>;

}}  // namespace kvstore::v1

#undef KVSTORE_EXTERN
