#include "torch/operators/soft_rank.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <vector>

#include "torch/cuda/adapter.h"
#include "torch/declaration/kernel.h"

namespace rank_relax {
namespace {

/// Order 0 (shifted) without directions, else the derivative along them.
at::Tensor kernel_sum(at::TensorList directions, const at::Tensor& input, double shift,
                      const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor output = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return output;
  std::vector<at::Tensor> kept;  // copies live until the kernels are enqueued
  const auto items = [&](const at::Tensor& tensor) {
    kept.push_back(at_one_row_stride(tensor));
    return items_of(kept.back());
  };
  cuda::KernelSum problem;
  problem.rows = rows_of(input);
  problem.size = input.size(-1);
  problem.input = items(input);
  if (options.mask.has_value()) problem.mask = items(*options.mask);
  for (const at::Tensor& direction : directions) {
    problem.directions[problem.order++] = items(direction);
  }
  problem.regularization_strength = options.regularization_strength;
  problem.shift = shift;
  problem.output = results_of(output);
  run_rank(problem, options.method);
  return output;
}

at::Tensor soft_rank_cuda(const at::Tensor& input, const Options& options) {
  return kernel_sum({}, input, 0.5, options);
}

at::Tensor soft_rank_backward_cuda(const at::Tensor& grad_output, const at::Tensor& input,
                                   const Options& options) {
  return kernel_sum(grad_output, input, 0, options);
}

at::Tensor soft_rank_derivative_cuda(at::TensorList directions, const at::Tensor& input,
                                     const Options& options) {
  return kernel_sum(directions, input, 0, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::SoftRank, soft_rank_cuda>(library);
  kernel<operators::SoftRankBackward, soft_rank_backward_cuda>(library);
  kernel<operators::SoftRankDerivative, soft_rank_derivative_cuda>(library);
}

}  // namespace rank_relax
