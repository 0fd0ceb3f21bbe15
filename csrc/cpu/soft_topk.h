#pragma once

#include <cstdint>

#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

// Outputs are contiguous; Scalar is float or double.

/// A soft mask of the k largest items of each row, [count, size]: F(α (x_i - c)), with c such that
/// it adds up to k, of finite values; infinite ones are all in or all out, or share what there is
/// for them. NaN at NaN, 0 at masked items. `k` [count, 1] may exceed the number of items that
/// count; NaN or negative, it makes all of these NaN. `densities` are F'(α (x_i - c)), 0 at
/// infinite and masked items, NaN where the mask is. O(size) a row.
template <class Scalar>
void topk(const SoftBatch<Scalar>& batch, const Rows<double>& k, Scalar* chosen, double* densities,
          const ParallelFor& parallel_for);

/// Products with the Jacobian of the mask, which is symmetric, for the densities f that topk gave:
/// α f_i (v_i - Σ_j f_j v_j / Σ_j f_j) for the rows v of a batch, whose mask and method have no
/// say. Items without a density take no part; NaN where it is.
template <class Scalar>
void topk_product(const SoftBatch<Scalar>& batch, const Rows<double>& densities, Scalar* output,
                  const ParallelFor& parallel_for);

/// In one instruction set: batch/soft_topk.h, in each file of compiled/.
template <class Set, class Scalar>
struct SoftTopKKernels {
  static void forward(const SoftBatch<Scalar>& batch, const Rows<double>& k, Scalar* chosen,
                      double* densities, const ParallelFor& parallel_for);

  static void product(const SoftBatch<Scalar>& batch, const Rows<double>& densities, Scalar* output,
                      const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
