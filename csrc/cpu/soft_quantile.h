#pragma once

#include <cstdint>

#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

// The inverse of the smoothed count of a row's items, for a smooth CDF F of core/cdf/smooth_cdfs.h,
//
//     G(y) = Σ_j F(α (y - x_j)),
//
// in which -inf counts 1 and inf 0 wherever y is; masked items and NaN don't count. Outputs are
// contiguous; Scalar is float or double.

/// points[row, l] = y with G(y) = levels[row, l], [count, level_count]: -inf from as many levels on
/// as there are -inf, inf from that below which there are no inf; NaN for a NaN level and a row in
/// which nothing counts. In a gap so wide that G is flat there at that level, the point to which y
/// tends as F's tails do, where both sides weigh the same.
template <class Scalar>
void quantile_at_levels(const SoftBatch<Scalar>& batch, const Rows<double>& levels,
                        int64_t level_count, double* points, const ParallelFor& parallel_for);

/// In one instruction set: batch/soft_quantile.h, in each file of compiled/.
template <class Set, class Scalar>
struct SoftQuantileKernels {
  static void at_levels(const SoftBatch<Scalar>& batch, const Rows<double>& levels,
                        int64_t level_count, double* points, const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
