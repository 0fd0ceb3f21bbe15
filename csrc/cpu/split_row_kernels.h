#pragma once

#include "cpu/split_row.h"

namespace rank_relax::cpu {

/// The stages of split_row.h that go over items, for one instruction set. Defined in
/// split_row_kernels_of.h, and compiled once for each set in a file that has its name.
template <class Isa, class Scalar>
struct SplitRowKernels {
  static void moments(const SplitBatch<Scalar>& batch, int64_t size, double* moments,
                      const ParallelFor& parallel_for);
  static void derivative(const SplitBatch<Scalar>& batch, const double* counts, int64_t size,
                         const double* moments, double* output, const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
