#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/soft_quantile_abreast.h"
#include "cpu/inverse/soft_quantile_row.h"
#include "cpu/soft_quantile.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftQuantileKernels<Set, Scalar>::forward(const SoftBatch<Scalar>& batch,
                                               const Rows<double>& q, int64_t number,
                                               double* quantiles, double* points, double* densities,
                                               const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileRow<decltype(cdf), Scalar>;
    using Group = SoftQuantilesAbreast<decltype(cdf), Scalar>;
    const auto visit = [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
      const int64_t at = i * number;
      row.find_quantiles(batch.row(i), batch.regularization_strength, q.row(i), number,
                         quantiles + at, points + at, densities + at, in_row);
    };
    if (number > Group::kMostLevels) return for_each_own_row<OwnRow>(batch, parallel_for, visit);
    for_each_own_row_or_group<OwnRow, Group>(
        batch, parallel_for, visit, [&](int64_t first, auto& rows) {
          const int64_t at = first * number;
          return rows.find(q, first, number, quantiles + at, points + at, densities + at);
        });
  });
}

template <class Set, class Scalar>
void SoftQuantileKernels<Set, Scalar>::at_levels(const SoftBatch<Scalar>& batch,
                                                 const Rows<double>& levels, int64_t number,
                                                 double* points, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(batch, parallel_for,
                             [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
                               row.find_levels(batch.row(i), batch.regularization_strength,
                                               levels.row(i), number, points + i * number, in_row);
                             });
  });
}

template <class Set, class Scalar>
void SoftQuantileKernels<Set, Scalar>::to_items(const SoftBatch<Scalar>& batch,
                                                const LevelPoints& at, const Rows<double>& vector,
                                                Scalar* output, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileProductRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          row.set_row(batch.row(i), batch.regularization_strength, at.row(i), in_row);
          row.to_items(vector.row(i), output + i * batch.size, in_row);
        });
  });
}

template <class Set, class Scalar>
void SoftQuantileKernels<Set, Scalar>::to_levels(const SoftBatch<Scalar>& batch,
                                                 const LevelPoints& at, const Rows<Scalar>& vector,
                                                 double* output, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileProductRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          row.set_row(batch.row(i), batch.regularization_strength, at.row(i), in_row);
          row.to_levels(vector.row(i), output + i * at.number, in_row);
        });
  });
}

}  // namespace rank_relax::cpu
