#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/quantile_row.h"
#include "cpu/soft_quantile.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftQuantileKernels<Set, Scalar>::at_levels(const SoftBatch<Scalar>& batch,
                                                 const Rows<double>& levels, int64_t level_count,
                                                 double* points, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = QuantileLevelsRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(batch, parallel_for,
                             [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
                               row.find(batch.row(i), batch.regularization_strength, levels.row(i),
                                        level_count, points + i * level_count, in_row);
                             });
  });
}

}  // namespace rank_relax::cpu
