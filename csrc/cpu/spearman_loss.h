#pragma once

#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/row/targets.h"

namespace rank_relax::cpu {

// Scalar is float or double; outputs are contiguous. The gradients with respect to the soft ranks
// are what the backward needs beside the inputs. They belong to ranks taken at the strength of
// core/correlation.h, which the backward finds again from the row.

/// loss[row] = 1 - Pearson(R(predictions), R(targets)), and its gradients with respect to the
/// ranks, each [count, size]. The batch's input are the predictions.
template <class Scalar>
void spearman_loss_forward(const SoftBatch<Scalar>& batch, const Targets<Scalar>& targets,
                           Scalar* loss, Scalar* rank_gradient_predictions,
                           Scalar* rank_gradient_targets, const ParallelFor& parallel_for);

/// output = grad_output[row] · ∂loss/∂input, [count, size], from the gradient with respect to the
/// input's ranks: a soft rank's derivative along it. Serves predictions and targets alike.
template <class Scalar>
void spearman_loss_backward(const SoftBatch<Scalar>& batch, const Rows<Scalar>& grad_output,
                            const Rows<Scalar>& rank_gradient, Scalar* output,
                            const ParallelFor& parallel_for);

/// For a smooth CDF, in one instruction set: batch/spearman_loss.h, in each file of compiled/.
template <class Set, class Scalar>
struct SpearmanLossKernels {
  static void forward(const SoftBatch<Scalar>& batch, const Targets<Scalar>& targets, Scalar* loss,
                      Scalar* rank_gradient_predictions, Scalar* rank_gradient_targets,
                      const ParallelFor& parallel_for);

  static void backward(const SoftBatch<Scalar>& batch, const Rows<Scalar>& grad_output,
                       const Rows<Scalar>& rank_gradient, Scalar* output,
                       const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
