// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "kvstore/storage/memory_storage.hpp"

namespace support {

using Disk = kvstore::MemoryStorage::Contents;

[[nodiscard]] inline std::unique_ptr<kvstore::MemoryStorage> storage_on(const std::shared_ptr<Disk>& disk) {
  return std::make_unique<kvstore::MemoryStorage>(disk);
}

}  // namespace support
