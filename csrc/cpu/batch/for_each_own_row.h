#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

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

/// The same; or, where a `Group` suits the batch, visit_group(first row index, group) is asked for
/// as many rows as it takes together first. Rows that it refuses, or the visit by returning false,
/// are visited one by one.
template <class OwnRow, class Group, class Scalar, class Visit, class VisitGroup>
void for_each_own_row_or_group(const SoftBatch<Scalar>& batch, const ParallelFor& parallel_for,
                               const Visit& visit, const VisitGroup& visit_group) {
  const bool in_groups = Group::suits(batch);
  const int64_t together = in_groups ? Group::kRows : 1;  // for any number of threads
  RowsOverThreads{1 << 11}.visit_ranges(
      (batch.count + together - 1) / together, together * batch.size, parallel_for,
      [&](int64_t begin, int64_t end, const ParallelFor& in_row) {
        OwnRow own_row;
        const auto group = in_groups
                               ? std::make_unique<Group>(batch.size, batch.regularization_strength)
                               : nullptr;
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i * together, last = std::min(first + together, batch.count);
          if constexpr (Group::kServes) {
            const bool done = in_groups && last - first == together &&
                              group->set_rows(batch.input, first) && visit_group(first, *group);
            if (done) continue;
          }
          for (int64_t row = first; row < last; ++row) visit(row, own_row, in_row);
        }
      });
}

}  // namespace rank_relax::cpu
