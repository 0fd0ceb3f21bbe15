#pragma once

#include <string_view>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/row/targets.h"

namespace rank_relax::cpu {

/// The kernels that soft_rank.h and spearman_loss.h describe, for one instruction set. Defined in
/// kernels_of.h, and compiled once for each set in a file that has its name.
template <class Isa, class Scalar>
struct Kernels {
  static void soft_rank(const Batch<Scalar>& batch, double regularization_strength,
                        std::string_view method, Scalar* output, const ParallelFor& parallel_for);

  static void soft_rank_derivative(const Batch<Scalar>& batch, const Rows<Scalar>* directions,
                                   int order, double regularization_strength,
                                   std::string_view method, Scalar* output,
                                   const ParallelFor& parallel_for);

  static void spearman_loss_forward(const Batch<Scalar>& batch, const Targets<Scalar>& targets,
                                    double regularization_strength, std::string_view method,
                                    Scalar* loss, Scalar* rank_gradient_predictions,
                                    Scalar* rank_gradient_targets, const ParallelFor& parallel_for);

  static void spearman_loss_backward(const Batch<Scalar>& batch, const Rows<Scalar>& grad_output,
                                     const Rows<Scalar>& rank_gradient,
                                     double regularization_strength, std::string_view method,
                                     Scalar* output, const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
