#pragma once

#include <cstdint>

#include "cpu/batch/rows_over_threads.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

/// visit(row index, own row, parallel_for) for every row of a batch. Each range of rows has an
/// `OwnRow`, which keeps its memory from one row to the next.
template <class OwnRow, class Scalar, class Visit>
void for_each_own_row(const Batch<Scalar>& batch, const ParallelFor& parallel_for,
                      const Visit& visit) {
  const auto visit_range = [&](int64_t begin, int64_t end, const ParallelFor& in_row) {
    OwnRow row;
    for (int64_t i = begin; i < end; ++i) visit(i, row, in_row);
  };
  RowsOverThreads{1 << 11}.visit_ranges(batch.count, batch.size, parallel_for, visit_range);
}

}  // namespace rank_relax::cpu
