#pragma once

#include <string_view>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

/// The kernels that quantile.h describes, for one instruction set. Defined in
/// quantile_kernels_of.h, and compiled once for each set in a file that has its name.
template <class Isa, class Scalar>
struct QuantileKernels {
  static void sort(const Batch<Scalar>& batch, double regularization_strength,
                   std::string_view method, Scalar* values, double* points, double* densities,
                   const ParallelFor& parallel_for);

  static void sort_product(const Batch<Scalar>& batch, const double* points,
                           const double* densities, const Rows<Scalar>& vector, bool transposed,
                           double regularization_strength, std::string_view method, Scalar* output,
                           const ParallelFor& parallel_for);

  static void at_levels(const Batch<Scalar>& batch, const Rows<double>& levels, int64_t level_count,
                        double regularization_strength, std::string_view method, double* points,
                        const ParallelFor& parallel_for);

  static void topk(const Batch<Scalar>& batch, const Rows<double>& k,
                   double regularization_strength, std::string_view method, Scalar* chosen,
                   double* densities, const ParallelFor& parallel_for);

  static void topk_product(const Batch<Scalar>& batch, const Rows<double>& densities,
                           double regularization_strength, Scalar* output,
                           const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
