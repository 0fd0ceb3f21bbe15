#pragma once

#include <cstdint>

#include "core/correlation.h"
#include "core/host_device.h"
#include "cuda/launch/items.h"

namespace rank_relax::cuda {

/// Items [begin, end) of a row.
struct ItemRange {
  int64_t row;
  int64_t begin;
  int64_t end;
};

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

  RANK_RELAX_HOST_DEVICE ItemRange whole(int64_t row) const { return {row, 0, size}; }
};

}  // namespace rank_relax::cuda
