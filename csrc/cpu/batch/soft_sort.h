#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/quantile_row.h"
#include "cpu/inverse/quantile_sort_product.h"
#include "cpu/soft_sort.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftSortKernels<Set, Scalar>::forward(const Batch<Scalar>& batch,
                                           double regularization_strength, std::string_view method,
                                           Scalar* values, double* points, double* densities,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = QuantileSortRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.sort(batch.input.row(i), batch.mask.row(i), batch.size, regularization_strength,
                   values + at, points == nullptr ? nullptr : points + at,
                   densities == nullptr ? nullptr : densities + at, in_row);
        });
  });
}

template <class Set, class Scalar>
void SoftSortKernels<Set, Scalar>::product(const Batch<Scalar>& batch, const double* points,
                                           const double* densities, const Rows<Scalar>& vector,
                                           bool transposed, double regularization_strength,
                                           std::string_view method, Scalar* output,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = QuantileSortProductRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.set_row(batch.input.row(i), batch.mask.row(i), batch.size, points + at,
                      densities + at, in_row);
          if (transposed) {
            row.to_items(vector.row(i), regularization_strength, output + at, in_row);
          } else {
            row.to_places(vector.row(i), regularization_strength, output + at, in_row);
          }
        });
  });
}

}  // namespace rank_relax::cpu
