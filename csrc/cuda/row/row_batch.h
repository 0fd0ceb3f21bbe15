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

/// How rows are shared out: [rows * parts] blocks.
struct Parts {
  int64_t count;
  int64_t size;  // items of each, but for the last

  /// The items of a part, and of those behind it up to another, in a row of so many.
  RANK_RELAX_HOST_DEVICE ItemRange range(int64_t row, int64_t part, int64_t last_part,
                                         int64_t row_size) const {
    const int64_t end = (last_part + 1) * size;
    return {row, part * size, end < row_size ? end : row_size};
  }
  RANK_RELAX_HOST_DEVICE ItemRange range(int64_t row, int64_t part, int64_t row_size) const {
    return range(row, part, part, row_size);
  }
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
