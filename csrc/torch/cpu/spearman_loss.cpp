#include "cpu/spearman_loss.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/cpu/adapter.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/spearman_loss.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> spearman_loss_forward_cpu(
    const at::Tensor& predictions, const at::Tensor& targets, const Options& options) {
  const at::Tensor prediction_values = at_least_float32(predictions);
  const at::Tensor target_values = at_least_float32(targets);
  const at::TensorOptions statistics = prediction_values.options();
  const at::Tensor loss =
      at::empty(predictions.sizes().slice(0, predictions.dim() - 1), statistics);
  const at::Tensor rank_gradient_predictions = at::empty(predictions.sizes(), statistics);
  const at::Tensor rank_gradient_targets = at::empty(predictions.sizes(), statistics);
  AT_DISPATCH_FLOATING_TYPES(prediction_values.scalar_type(), "spearman_loss_forward", [&] {
    cpu::spearman_loss_forward(
        soft_batch_of<scalar_t>(prediction_values, options),
        cpu::Targets<scalar_t>{rows_of<scalar_t>(target_values)}, loss.mutable_data_ptr<scalar_t>(),
        rank_gradient_predictions.mutable_data_ptr<scalar_t>(),
        rank_gradient_targets.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return {loss.to(predictions.scalar_type()), rank_gradient_predictions, rank_gradient_targets};
}

std::tuple<at::Tensor, at::Tensor> spearman_loss_at_ranks_forward_cpu(
    const at::Tensor& predictions, const at::Tensor& target_ranks, const Options& options) {
  const at::Tensor prediction_values = at_least_float32(predictions);
  const at::TensorOptions statistics = prediction_values.options();
  const at::Tensor loss =
      at::empty(predictions.sizes().slice(0, predictions.dim() - 1), statistics);
  const at::Tensor rank_gradient = at::empty(predictions.sizes(), statistics);
  const at::Tensor of_targets = at::empty(predictions.sizes(), statistics);
  AT_DISPATCH_FLOATING_TYPES(prediction_values.scalar_type(), "spearman_loss_at_ranks", [&] {
    cpu::spearman_loss_forward(
        soft_batch_of<scalar_t>(prediction_values, options),
        cpu::Targets<scalar_t>{rows_of<scalar_t>(target_ranks), /*are_ranks=*/true},
        loss.mutable_data_ptr<scalar_t>(), rank_gradient.mutable_data_ptr<scalar_t>(),
        of_targets.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return {loss.to(predictions.scalar_type()), rank_gradient};
}

/// grad_output times the gradient of each list's loss, from that with respect to its ranks.
at::Tensor gradient_of(const at::Tensor& grad_output, const at::Tensor& predictions,
                       const at::Tensor& rank_gradient, const Options& options) {
  if (predictions.numel() == 0) return at::empty(predictions.sizes(), predictions.options());
  check_blocks_fit(predictions.size(-1), options.method);
  const at::Tensor values = at_least_float32(predictions);
  // A row of one item for each row of values, so that both count rows alike.
  const at::Tensor grad_rows = at_least_float32(grad_output).unsqueeze(-1);
  const at::Tensor gradient = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "spearman_loss_backward", [&] {
    cpu::spearman_loss_backward(soft_batch_of<scalar_t>(values, options),
                                rows_of<scalar_t>(grad_rows), rows_of<scalar_t>(rank_gradient),
                                gradient.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return gradient.to(predictions.scalar_type());
}

at::Tensor spearman_loss_backward_cpu(const at::Tensor& grad_output, const at::Tensor& predictions,
                                      const at::Tensor&, const at::Tensor& rank_gradient,
                                      const Options& options) {
  return gradient_of(grad_output, predictions, rank_gradient, options);
}

at::Tensor spearman_loss_at_ranks_backward_cpu(const at::Tensor& grad_output,
                                               const at::Tensor& predictions, const at::Tensor&,
                                               const at::Tensor& rank_gradient,
                                               const Options& options) {
  return gradient_of(grad_output, predictions, rank_gradient, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::SpearmanLossForward, spearman_loss_forward_cpu>(library);
  kernel<operators::SpearmanLossBackward, spearman_loss_backward_cpu>(library);
  kernel<operators::SpearmanLossAtRanksForward, spearman_loss_at_ranks_forward_cpu>(library);
  kernel<operators::SpearmanLossAtRanksBackward, spearman_loss_at_ranks_backward_cpu>(library);
}

}  // namespace rank_relax
