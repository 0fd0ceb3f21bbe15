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

/// quantiles[row, l] = y with G(y) = q (n - 1) + 1/2 for q = q[row, l] and the n items that count,
/// [count, number]; NaN where q is not between 0 and 1, for a row with a NaN, and where nothing
/// counts. `points` are the same from the row's centre (core/row/center.h), `densities`
/// Σ_j F'(α (y - x_j)), 0 where it vanishes.
template <class Scalar>
void quantiles(const SoftBatch<Scalar>& batch, const Rows<double>& q, int64_t number,
               double* quantiles, double* points, double* densities,
               const ParallelFor& parallel_for);

/// points[row, l] = y with G(y) = levels[row, l], [count, number]: -inf from as many levels on
/// as there are -inf, inf from that below which there are no inf; NaN for a NaN level and a row in
/// which nothing counts. In a gap so wide that G is flat there at that level, the point to which y
/// tends as F's tails do, where both sides weigh the same.
template <class Scalar>
void quantile_at_levels(const SoftBatch<Scalar>& batch, const Rows<double>& levels, int64_t number,
                        double* points, const ParallelFor& parallel_for);

/// Points at levels of the rows of a batch, [count, number].
struct LevelPoints {
  const double* points;
  const double* densities;  // there; null if they are not known
  int64_t number;
  bool from_centers;  // as those of quantiles; else as those at levels

  LevelPoints row(int64_t index) const {
    const int64_t at = index * number;
    return {points + at, densities == nullptr ? nullptr : densities + at, number, from_centers};
  }
};

// Products with the Jacobian of points at levels, the weights
// W_lj = F'(α (y_l - x_j)) / Σ_i F'(α (y_l - x_i)), which have their limit where all F' vanish.

/// output[row, j] = Σ_l g_l W_lj, [count, size]: 0 at infinities, NaN and masked items, NaN at all
/// others of a row with a point that is NaN. Infinite points have no weights.
template <class Scalar>
void quantiles_to_items(const SoftBatch<Scalar>& batch, const LevelPoints& at,
                        const Rows<double>& vector, Scalar* output,
                        const ParallelFor& parallel_for);

/// output[row, l] = Σ_j W_lj v_j, [count, number]: 0 at an infinite point, NaN at NaN.
template <class Scalar>
void quantiles_to_levels(const SoftBatch<Scalar>& batch, const LevelPoints& at,
                         const Rows<Scalar>& vector, double* output,
                         const ParallelFor& parallel_for);

/// In one instruction set: batch/soft_quantile.h, in each file of compiled/.
template <class Set, class Scalar>
struct SoftQuantileKernels {
  static void forward(const SoftBatch<Scalar>& batch, const Rows<double>& q, int64_t number,
                      double* quantiles, double* points, double* densities,
                      const ParallelFor& parallel_for);

  static void at_levels(const SoftBatch<Scalar>& batch, const Rows<double>& levels, int64_t number,
                        double* points, const ParallelFor& parallel_for);

  static void to_items(const SoftBatch<Scalar>& batch, const LevelPoints& at,
                       const Rows<double>& vector, Scalar* output, const ParallelFor& parallel_for);

  static void to_levels(const SoftBatch<Scalar>& batch, const LevelPoints& at,
                        const Rows<Scalar>& vector, double* output,
                        const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
