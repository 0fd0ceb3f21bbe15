#pragma once

#include <cstdint>

namespace rank_relax {

/// What is said of an item by projection: the number of its block, ascending from 0, or why it is
/// in none.
enum OutsideBlocks : int32_t { kMasked = -1, kNan = -2, kBelow = -3, kAbove = -4 };

constexpr int64_t kMostBlocks = 0x7fffffff;

}  // namespace rank_relax
