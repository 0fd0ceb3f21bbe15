#pragma once

#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

// `output` is contiguous, [count, size]. `method` is one of core/methods.h; Scalar is float or
// double. For a smooth CDF F, at a cost of O(size) a row, or O(size²) for derivatives of order 3
// and more; cpu/projection/permutahedron.h says what the projections return in their place.

/// R_i = 1/(n-1) Σ_{j≠i} F(α (x_i - x_j)); 0 where masked or n = 1.
template <class Scalar>
void soft_rank(const SoftBatch<Scalar>& batch, Scalar* output, const ParallelFor& parallel_for);

/// y_i = α^k/(n-1) Σ_j Π_{l<k} (v_l[i] - v_l[j]) F^(k)(α (x_i - x_j)) for k = `order` directions
/// v_l, at most max_order(method); for order 0 the centred rank R - 1/2.
template <class Scalar>
void soft_rank_derivative(const SoftBatch<Scalar>& batch, const Rows<Scalar>* directions, int order,
                          Scalar* output, const ParallelFor& parallel_for);

/// For a smooth CDF, in one instruction set: batch/soft_rank.h, in each file of compiled/.
template <class Set, class Scalar>
struct SoftRankKernels {
  static void forward(const SoftBatch<Scalar>& batch, Scalar* output,
                      const ParallelFor& parallel_for);

  static void derivative(const SoftBatch<Scalar>& batch, const Rows<Scalar>* directions, int order,
                         Scalar* output, const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
