#pragma once

#include <cstdint>
#include <string_view>

#include "core/precision.h"
#include "core/row/split_row_form.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

// The stages of a derivative of soft ranks, for rows that are split: each of several processes
// holds a part of every row, of any length. Moments add, so
//
//   1. split_row_summary      each process its own: the least and greatest of the -minima and
//   maxima
//                             and the sums are those of the whole row
//   2. split_row_moments      of its part, around the whole row's extent: their sum is the row's
//   3. split_row_derivative   at the items of its part, from the moments of the whole row
//
// In between, the caller adds up over the processes. What they have to agree on depends on the
// whole row's extent alone: one box around the middle of a narrow row, so that sums keep their
// relative precision, or a grid of boxes anchored at 0. Orders are those that have series, 0, 1, 2.
//
// Everything but the input is in double, contiguous, with a row for each row of the batch. Grids
// have the precision of Scalar, which is float or double.

constexpr int kSplitSums = 4;

/// extents[row] = (-minimum, maximum) of the finite items, both -inf without any; sums[row] = the
/// numbers of finite items, of -inf, of +inf and of NaN, and the sum over finite items of each of
/// `order` directions. Masked items are left out of all.
template <class Scalar>
void split_row_summary(const Batch<Scalar>& batch, const Rows<double>* directions, int order,
                       double* extents, double* sums, const ParallelFor& parallel_for);

/// The numbers in a row's moments (core/row/split_row_form.h). What an array of moments holds
/// beyond them is 0.
int64_t split_row_numbers(Precision precision, int order, const WholeRow& row,
                          std::string_view method);

template <class Scalar>
struct SplitBatch {
  Batch<Scalar> part;
  const Rows<double>* directions;
  int order;
  const WholeRow* rows;
  const double* centers;  // [count, order]: subtracted from directions, any that keep sums small
  std::string_view method;
};

/// moments [count, size], with `size` at least the numbers of every row.
template <class Scalar>
void split_row_moments(const SplitBatch<Scalar>& batch, int64_t size, double* moments,
                       const ParallelFor& parallel_for);

/// output[i] = α^k/(n-1) Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(α (x_i - x_j)), j over the whole row, and
/// for order 0 the centred rank R - 1/2. `counts` [count, 3]: the row's finite items, -inf and
/// +inf. Masked items get 0, NaN gets NaN, and an infinity derivative 0.
template <class Scalar>
void split_row_derivative(const SplitBatch<Scalar>& batch, const double* counts, int64_t size,
                          const double* moments, double* output, const ParallelFor& parallel_for);

/// In one instruction set: batch/split_rank.h, in each file of compiled/.
template <class Set, class Scalar>
struct SplitRankKernels {
  static void moments(const SplitBatch<Scalar>& batch, int64_t size, double* moments,
                      const ParallelFor& parallel_for);
  static void derivative(const SplitBatch<Scalar>& batch, const double* counts, int64_t size,
                         const double* moments, double* output, const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
