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

/// Soft sorted values, [count, size]: of the m finite values of a row, y_k with
/// Σ_{j finite} F(α (y_k - x_j)) = k - 1/2, k = 1..m, between -inf before and inf behind them; then
/// NaN, and 0 for masked items. If wanted (not null), `points` are the y_k before they are rounded
/// to Scalar, and `densities` Σ_j F'(α (y_k - x_j)); at the other places a copy of the value, and
/// 0.
///
/// O(size) a row while it spans fewer boxes than items, else a sort and O(size).
template <class Scalar>
void quantile_sort(const SoftBatch<Scalar>& batch, Scalar* values, double* points,
                   double* densities, const ParallelFor& parallel_for);

/// The points and densities that quantile_sort gave.
struct SortedPoints {
  const double* points;
  const double* densities;
};

/// Products with the Jacobian of the sorted values, J_kj = F'(α (y_k - x_j)) / D_k, for the points
/// y_k and the densities D_k: `transposed` Σ_k g_k J_kj, of
/// places to items, else Σ_j J_kj v_j, of items to places. 0 at infinities and masked items (or
/// their places), NaN at NaN. O(size) a row, as above.
template <class Scalar>
void quantile_sort_product(const SoftBatch<Scalar>& batch, const SortedPoints& sorted,
                           const Rows<Scalar>& vector, bool transposed, Scalar* output,
                           const ParallelFor& parallel_for);

/// In one instruction set: batch/soft_sort.h, in each file of compiled/.
template <class Set, class Scalar>
struct SoftSortKernels {
  static void forward(const SoftBatch<Scalar>& batch, Scalar* values, double* points,
                      double* densities, const ParallelFor& parallel_for);

  static void product(const SoftBatch<Scalar>& batch, const SortedPoints& sorted,
                      const Rows<Scalar>& vector, bool transposed, Scalar* output,
                      const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
