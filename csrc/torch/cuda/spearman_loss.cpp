#include "cuda/spearman_loss.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "torch/cuda/adapter.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/spearman_loss.h"

namespace rank_relax {
namespace {

/// What the rank of one side for a correlation starts from; `input` and `mask` are at one row
/// stride.
cuda::KernelSum side_of(const at::Tensor& input, const std::optional<at::Tensor>& mask,
                        double regularization_strength) {
  cuda::KernelSum problem;
  problem.rows = rows_of(input);
  problem.size = input.size(-1);
  problem.input = items_of(input);
  if (mask.has_value()) problem.mask = items_of(*mask);
  problem.regularization_strength = regularization_strength;
  problem.for_correlation = true;
  return problem;
}

/// The loss of two sides from their centred ranks, whose place its gradients take.
void correlate(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& kept_mask,
               const at::Tensor& loss) {
  const cuda::Correlation problem{rows_of(a),
                                  a.size(-1),
                                  kept_mask.has_value() ? items_of(*kept_mask) : cuda::Items{},
                                  a.mutable_data_ptr(),
                                  b.mutable_data_ptr(),
                                  a.scalar_type() == at::kDouble,
                                  results_of(loss)};
  const at::DataPtr workspace = device_memory(cuda::correlation_workspace(problem));
  enqueue_on_current_stream(
      [&](cudaStream_t stream) { return cuda::correlation(problem, workspace.get(), stream); });
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> spearman_loss_forward_cuda(
    const at::Tensor& predictions, const at::Tensor& targets, const Options& options) {
  const c10::cuda::CUDAGuard guard(predictions.device());
  const at::TensorOptions statistics = predictions.options().dtype(statistics_dtype(predictions));
  const at::Tensor loss =
      at::empty(predictions.sizes().slice(0, predictions.dim() - 1), predictions.options());
  const at::Tensor ranks[] = {at::empty(predictions.sizes(), statistics),
                              at::empty(predictions.sizes(), statistics)};
  const at::Tensor sides[] = {at_one_row_stride(predictions), at_one_row_stride(targets)};
  const std::optional<at::Tensor> kept_mask = at_one_row_stride(options.mask);
  for (const int side : {0, 1}) {
    cuda::KernelSum problem = side_of(sides[side], kept_mask, options.regularization_strength);
    problem.output = results_of(ranks[side]);
    run_rank(problem, options.method);
  }
  correlate(ranks[0], ranks[1], kept_mask, loss);
  return {loss, ranks[0], ranks[1]};
}

std::tuple<at::Tensor, at::Tensor> spearman_loss_at_ranks_forward_cuda(
    const at::Tensor& predictions, const at::Tensor& target_ranks, const Options& options) {
  const c10::cuda::CUDAGuard guard(predictions.device());
  const at::Tensor loss =
      at::empty(predictions.sizes().slice(0, predictions.dim() - 1), predictions.options());
  const at::Tensor ranks = at::empty(predictions.sizes(), target_ranks.options());
  const at::Tensor values = at_one_row_stride(predictions);
  const std::optional<at::Tensor> kept_mask = at_one_row_stride(options.mask);
  cuda::KernelSum problem = side_of(values, kept_mask, options.regularization_strength);
  problem.output = results_of(ranks);
  run_rank(problem, options.method);
  const at::Tensor given = at::empty(predictions.sizes(), target_ranks.options());
  given.copy_(target_ranks);
  correlate(ranks, given, kept_mask, loss);
  return {loss, ranks};
}

at::Tensor gradient_of(const at::Tensor& grad_output, const at::Tensor& predictions,
                       const at::Tensor& rank_gradient, const Options& options) {
  const c10::cuda::CUDAGuard guard(predictions.device());
  const at::Tensor gradient = at::empty(predictions.sizes(), predictions.options());
  if (predictions.numel() == 0) return gradient;
  const at::Tensor values = at_one_row_stride(predictions);
  const at::Tensor direction = at_one_row_stride(rank_gradient);
  // A row of one item for each row of values.
  const at::Tensor factor = at_one_row_stride(grad_output.unsqueeze(-1));
  const std::optional<at::Tensor> kept_mask = at_one_row_stride(options.mask);
  cuda::KernelSum problem = side_of(values, kept_mask, options.regularization_strength);
  problem.order = 1;
  problem.directions[0] = items_of(direction);
  problem.factor = items_of(factor);
  problem.spread_nan = true;
  problem.output = results_of(gradient);
  run_rank(problem, options.method);
  return gradient;
}

at::Tensor spearman_loss_backward_cuda(const at::Tensor& grad_output, const at::Tensor& predictions,
                                       const at::Tensor&, const at::Tensor& rank_gradient,
                                       const Options& options) {
  return gradient_of(grad_output, predictions, rank_gradient, options);
}

at::Tensor spearman_loss_at_ranks_backward_cuda(const at::Tensor& grad_output,
                                                const at::Tensor& predictions, const at::Tensor&,
                                                const at::Tensor& rank_gradient,
                                                const Options& options) {
  return gradient_of(grad_output, predictions, rank_gradient, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::SpearmanLossForward, spearman_loss_forward_cuda>(library);
  kernel<operators::SpearmanLossBackward, spearman_loss_backward_cuda>(library);
  kernel<operators::SpearmanLossAtRanksForward, spearman_loss_at_ranks_forward_cuda>(library);
  kernel<operators::SpearmanLossAtRanksBackward, spearman_loss_at_ranks_backward_cuda>(library);
}

}  // namespace rank_relax
