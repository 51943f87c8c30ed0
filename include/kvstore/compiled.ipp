// SPDX-License-Identifier: MIT
#pragma once

// The compiled part. A program that defines `KVSTORE_COMPILED` everywhere compiles it in exactly one of its
// files. The CMake target `kvstore::compiled` is a library made of this file alone.

#ifndef KVSTORE_COMPILED
#error "define KVSTORE_COMPILED for the whole program, or include <kvstore/kvstore.hpp> and no compiled part"
#endif
#ifdef KVSTORE_INSTANCES_ARE_ELSEWHERE
#error "include <kvstore/compiled.ipp> before <kvstore/kvstore.hpp>, best in a file of its own"
#endif
#define KVSTORE_COMPILING

// IWYU pragma: begin_exports
#include "kvstore/detail/base/compiled_part.hpp"
#include "kvstore/detail/base/complaint.ipp"
#include "kvstore/detail/change/entry_pipe.ipp"
#include "kvstore/detail/contract/entry_error.ipp"
#include "kvstore/detail/file/atomic_file.ipp"
#include "kvstore/detail/file/data_path.ipp"
#include "kvstore/detail/file/file_lock.ipp"
#include "kvstore/detail/file/file_system.ipp"
#include "kvstore/detail/file/known_file.ipp"
#include "kvstore/detail/file/native.ipp"
#include "kvstore/detail/file/rights.ipp"
#include "kvstore/detail/file/set_aside.ipp"
#include "kvstore/detail/file/side_file.ipp"
#include "kvstore/detail/file/text_place.ipp"
#include "kvstore/detail/journal/base_file.ipp"
#include "kvstore/detail/journal/directory.ipp"
#include "kvstore/detail/journal/file.ipp"
#include "kvstore/detail/journal/follower.ipp"
#include "kvstore/detail/journal/format.ipp"
#include "kvstore/detail/journal/line.ipp"
#include "kvstore/detail/journal/reader.ipp"
#include "kvstore/detail/journal/stretch.ipp"
#include "kvstore/detail/journal/survey.ipp"
#include "kvstore/detail/journal/tail_file.ipp"
#include "kvstore/detail/journal/torn_keeper.ipp"
#include "kvstore/detail/json_file/entry_reader.ipp"
#include "kvstore/detail/json_file/line_ranges.ipp"
#include "kvstore/detail/json_file/load_and_write.ipp"
#include "kvstore/detail/json_file/parallel_load.ipp"
#include "kvstore/detail/saving/observer.ipp"
#include "kvstore/detail/saving/open_stores.ipp"
#include "kvstore/detail/saving/reports.ipp"
#include "kvstore/detail/saving/state.ipp"
#include "kvstore/detail/saving/work.ipp"
#include "kvstore/detail/segment/parallel_encode.ipp"
#include "kvstore/detail/text/utf8.ipp"
#include "kvstore/error.ipp"
#include "kvstore/instances.ipp"
#include "kvstore/json_reader.ipp"
#include "kvstore/prometheus.ipp"
#include "kvstore/storage/json_file.ipp"
#include "kvstore/storage/json_journal.ipp"
#include "kvstore/storage/memory_storage.ipp"
// IWYU pragma: end_exports

namespace kvstore { inline namespace v1 { namespace detail {

template <int Major, int Minor, int Patch, bool Simd, bool DebugContainers>
const bool
    LinkTheCompiledPart<Major, Minor, Patch, Simd, DebugContainers>::of_this_version_with_these_macros = true;
template struct LinkTheCompiledPart<0, 1, 0, kSimd, kDebugContainers>;

}}}  // namespace kvstore::v1::detail
