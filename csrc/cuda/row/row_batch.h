#pragma once

#include <cstdint>

#include "core/correlation.h"
#include "cuda/launch/items.h"

namespace rank_relax::cuda {

/// What every kernel is asked about: rows of `size` items, which of the items count, and how softly
/// they are compared. All tensors are [rows, size].
struct RowBatch {
  int64_t rows = 0;
  int64_t size = 0;
  Items input;
  Items mask;  // not 0 where an item counts; absent: all do
  double regularization_strength = 1;
  bool for_correlation = false;          // at the strength of core/correlation.h
  double linear_spread = kLinearSpread;  // for that: of the method
};

}  // namespace rank_relax::cuda
