#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/projection/block_number.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/row/targets.h"

namespace rank_relax::cpu {

// Soft ranks with the methods of core/projection/permutahedron.h. Outputs are contiguous, [count,
// size]; Scalar is float or double. Rows go in parallel. Cost: an argsort and O(size) a row.
// `blocks` hold what core/projection/block_number.h says.

/// The ranks R in [0, 1], or R - 1/2 if `centered`; 0 where masked or if n = 1, NaN where the input
/// is. Infinities rank first and last. `blocks` may be null.
template <class Scalar>
void permutahedron_rank(const SoftBatch<Scalar>& batch, bool centered, Scalar* ranks,
                        int32_t* blocks, const ParallelFor& parallel_for);

/// The derivative of R along `order` directions, at least 1, for the blocks that
/// permutahedron_rank gave: O(size) a row, times 3^order for kl. Finds the blocks if absent.
template <class Scalar>
void permutahedron_rank_derivative(const SoftBatch<Scalar>& batch, const Rows<int32_t>& blocks,
                                   const Rows<Scalar>* directions, int order, Scalar* output,
                                   const ParallelFor& parallel_for);

/// Soft sorted values, ascending: -inf, the finite ones, inf, NaN; 0 for masked items at the end.
/// permutation[k] is the item at place k of a row, blocks[k] its block (or what block_number(Kind)
/// is).
template <class Scalar>
void permutahedron_sort(const SoftBatch<Scalar>& batch, Scalar* values, int64_t* permutation,
                        int32_t* blocks, const ParallelFor& parallel_for);

/// Whether every item of each row has its turn: what the products take for granted, which use a
/// permutation as indices.
inline bool are_permutations(const Rows<int64_t>& rows, int64_t count, int64_t size) {
  std::vector<int64_t> last_row(static_cast<size_t>(size), -1);  // that had the item
  for (int64_t row = 0; row < count; ++row) {
    const Row<int64_t> items = rows.row(row);
    for (int64_t i = 0; i < size; ++i) {
      const int64_t item = items[i];
      if (item < 0 || item >= size || std::exchange(last_row[item], row) == row) return false;
    }
  }
  return true;
}

/// The permutation and the blocks that permutahedron_sort gave.
struct SortedPlaces {
  Rows<int64_t> permutation;
  Rows<int32_t> blocks;
};

/// The Jacobian J of the sorted values, times items v: t_k = Σ_{j in the block of k} r_j v_j, with
/// weights r_j = 1/m (l2) or softmax(-x)_j (kl) inside a block of m items; or, `transposed`, times
/// places g: r_j Σ_{k in the block of j} g_k. 0 at masked items and infinities, NaN at NaN.
template <class Scalar>
void permutahedron_sort_product(const SoftBatch<Scalar>& batch, const SortedPlaces& sorted,
                                const Rows<Scalar>& vector, bool transposed, Scalar* output,
                                const ParallelFor& parallel_for);

/// As spearman_loss.h says.
template <class Scalar>
void permutahedron_spearman_forward(const SoftBatch<Scalar>& batch, const Targets<Scalar>& targets,
                                    Scalar* loss, Scalar* rank_gradient_predictions,
                                    Scalar* rank_gradient_targets, const ParallelFor& parallel_for);

template <class Scalar>
void permutahedron_spearman_backward(const SoftBatch<Scalar>& batch,
                                     const Rows<Scalar>& grad_output,
                                     const Rows<Scalar>& rank_gradient, Scalar* output,
                                     const ParallelFor& parallel_for);

}  // namespace rank_relax::cpu
