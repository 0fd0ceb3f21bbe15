#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/quantile_sort_product.h"
#include "cpu/inverse/soft_sort_row.h"
#include "cpu/inverse/soft_sorts_abreast.h"
#include "cpu/soft_sort.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftSortKernels<Set, Scalar>::forward(const SoftBatch<Scalar>& batch, Scalar* values,
                                           double* points, double* densities,
                                           const ParallelFor& parallel_for) {
  const auto from = [&](double* numbers, int64_t row) {
    return numbers == nullptr ? nullptr : numbers + row * batch.size;
  };
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileSortRow<decltype(cdf), Scalar>;
    using Group = SoftSortsAbreast<decltype(cdf), Scalar>;
    for_each_own_row_or_group<OwnRow, Group>(
        batch, parallel_for,
        [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          row.sort(batch.row(i), batch.regularization_strength, values + i * batch.size,
                   from(points, i), from(densities, i), in_row);
        },
        [&](int64_t first, auto& rows) {
          rows.sort(values + first * batch.size, from(points, first), from(densities, first));
          return true;
        });
  });
}

template <class Set, class Scalar>
void SoftSortKernels<Set, Scalar>::product(const SoftBatch<Scalar>& batch,
                                           const SortedPoints& sorted, const Rows<Scalar>& vector,
                                           bool transposed, Scalar* output,
                                           const ParallelFor& parallel_for) {
  const auto from = [&](int64_t row) -> SortedPoints {
    return {sorted.points + row * batch.size, sorted.densities + row * batch.size};
  };
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileSortProductRow<decltype(cdf), Scalar>;
    using Group = SoftSortsAbreast<decltype(cdf), Scalar>;
    for_each_own_row_or_group<OwnRow, Group>(
        batch, parallel_for,
        [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          row.set_row(batch.row(i), from(i), in_row);
          Scalar* product = output + i * batch.size;
          if (transposed) {
            row.to_items(vector.row(i), batch.regularization_strength, product, in_row);
          } else {
            row.to_places(vector.row(i), batch.regularization_strength, product, in_row);
          }
        },
        [&](int64_t first, auto& rows) {
          return rows.product(from(first), vector, first, transposed, output + first * batch.size);
        });
  });
}

}  // namespace rank_relax::cpu
