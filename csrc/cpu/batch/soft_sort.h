#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/quantile_row.h"
#include "cpu/inverse/quantile_sort_product.h"
#include "cpu/soft_sort.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftSortKernels<Set, Scalar>::forward(const SoftBatch<Scalar>& batch, Scalar* values,
                                           double* points, double* densities,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileSortRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(batch, parallel_for,
                             [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
                               const int64_t at = i * batch.size;
                               row.sort(batch.row(i), batch.regularization_strength, values + at,
                                        points == nullptr ? nullptr : points + at,
                                        densities == nullptr ? nullptr : densities + at, in_row);
                             });
  });
}

template <class Set, class Scalar>
void SoftSortKernels<Set, Scalar>::product(const SoftBatch<Scalar>& batch,
                                           const SortedPoints& sorted, const Rows<Scalar>& vector,
                                           bool transposed, Scalar* output,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileSortProductRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.set_row(batch.row(i), {sorted.points + at, sorted.densities + at}, in_row);
          if (transposed) {
            row.to_items(vector.row(i), batch.regularization_strength, output + at, in_row);
          } else {
            row.to_places(vector.row(i), batch.regularization_strength, output + at, in_row);
          }
        });
  });
}

}  // namespace rank_relax::cpu
