#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/row/kind.h"

namespace rank_relax {

// What is said of an item by projection: the number of its block, ascending from 0, or its kind if
// that isn't finite, which is negative.

constexpr int64_t kMostBlocks = 0x7fffffff;

RANK_RELAX_HOST_DEVICE constexpr int32_t block_number(Kind kind) {
  return static_cast<int32_t>(kind);
}

}  // namespace rank_relax
