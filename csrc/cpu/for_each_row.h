#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/parallel.h"
#include "cpu/row_sum.h"

namespace rank_relax::cpu {

/// visit(row index, row_sum) for every row of a batch, rows in parallel. Each range of rows has
/// memory of its own, so `row_sum` must be set to the row first.
template <class Scalar, class Visit>
void for_each_row(const Batch<Scalar>& batch, const ParallelFor& parallel_for, const Visit& visit) {
  if (batch.count == 0) return;
  constexpr int64_t kPairsWorthAThread = 1 << 15;
  const int64_t size = std::clamp<int64_t>(batch.size, 1, kPairsWorthAThread);
  const int64_t grain = std::max<int64_t>(kPairsWorthAThread / (size * size), 1);
  parallel_for(batch.count, grain, [&](int64_t begin, int64_t end) {
    RowSum<Scalar> row_sum;
    for (int64_t row = begin; row < end; ++row) {
      row_sum.set_row(batch.input.row(row), batch.mask.row(row), batch.size);
      visit(row, row_sum);
    }
  });
}

}  // namespace rank_relax::cpu
