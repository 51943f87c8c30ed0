// SPDX-License-Identifier: MIT
#pragma once

// Records changes in the ledger of a store's saves, in the form that its storage takes. Called under the
// locks of the tables, before the changes are made.

#include <algorithm>
#include <cstdint>
#include <span>

#include "kvstore/detail/base/thread_object.hpp"
#include "kvstore/detail/change/change_buffer.hpp"
#include "kvstore/detail/change/change_line.hpp"
#include "kvstore/detail/saving/entry_form.hpp"
#include "kvstore/detail/saving/ledger.hpp"
#include "kvstore/detail/segment/thread_state.hpp"
#include "kvstore/detail/store/line_ahead.hpp"
#include "kvstore/detail/table/mutation.hpp"
#include "kvstore/detail/table/tables.hpp"

namespace kvstore { inline namespace v1 { namespace detail {

template <class Lock, class Key, class Value>
[[gnu::noinline]] std::uint64_t record_buffer(OperationLedger<Lock>& ledger, const Tables<Key, Value>& tables,
                                              std::span<const Mutation<Key, Value>> mutations) {
  TakenOut<ChangeBuffer, ChangeBuffer> own;  // a codec may write to another store, which needs a second one
  ChangeBuffer& changes = *own;
  changes.clear();
  put_changes(tables, mutations, changes);
  changes.end_group();
  const std::uint64_t ticket = ledger.record(mutations.size(), changes);
  changes.clear_and_shrink();
  own.give_back();
  return ticket;
}

/// Counts the entries that the mutations add and remove, where a journal asks for their number.
template <class Lock, class Key, class Value>
void count_growth(OperationLedger<Lock>& ledger, std::span<const Mutation<Key, Value>> mutations,
                  ThreadState* local) noexcept {
  using Kind = typename Mutation<Key, Value>::Kind;
  if (!ledger.counts_growth()) return;
  const auto of = [&](Kind kind) {
    return static_cast<std::uint64_t>(std::count_if(
        mutations.begin(), mutations.end(), [kind](const auto& mutation) { return mutation.kind == kind; }));
  };
  ledger.count_growth(local, of(Kind::insert), of(Kind::erase));
}

/// Records the mutations in the form that the storage takes. `local` are the counters of the calling thread.
template <class Lock, class Key, class Value>
std::uint64_t record_changes(OperationLedger<Lock>& ledger, const Tables<Key, Value>& tables,
                             std::span<const Mutation<Key, Value>> mutations, LineAhead<Key, Value>& line,
                             ThreadState* local) {
  const std::uint64_t ticket = line.is_wanted() ? ledger.record(mutations.size(), line.of(tables, mutations))
                               : ledger.form() == EntryForm::changes
                                   ? record_buffer(ledger, tables, mutations)
                                   : ledger.record(mutations.size(), local);
  count_growth(ledger, mutations, local);  // last: what could not be recorded does not happen
  return ticket;
}

/// Records that all entries go. A journal has a line for this; other storages that take changes get a removal
/// of each entry.
template <class Lock, class Key, class Value>
std::uint64_t record_clear(OperationLedger<Lock>& ledger, const Tables<Key, Value>& tables,
                           ThreadState* local) {
  if (ledger.form() == EntryForm::none) return ledger.record(1, local);
  if (ledger.form() == EntryForm::mark) return ledger.record_replacement();
  if (ledger.form() == EntryForm::line) {
    ChangeLine line;
    line.begin(false);
    line.clear();
    return ledger.record(1, line.end());
  }
  ChangeBuffer changes;
  for (const auto& table : tables) {
    if (ledger.has_journal()) break;
    for (const auto& entry : table.entries()) changes.remove(entry.key);
  }
  changes.end_group();
  return ledger.record(1, changes);
}

}}}  // namespace kvstore::v1::detail
