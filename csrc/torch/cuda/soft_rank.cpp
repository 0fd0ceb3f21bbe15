#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <vector>

#include "torch/checks.h"
#include "torch/cuda/adapter.h"

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

at::Tensor soft_rank_cuda(const at::Tensor& input, double regularization_strength,
                          std::string_view method, const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_rank(input, options);
  return kernel_sum({}, input, 0.5, options);
}

at::Tensor soft_rank_backward_cuda(const at::Tensor& grad_output, const at::Tensor& input,
                                   double regularization_strength, std::string_view method,
                                   const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_rank_backward(grad_output, input, options);
  return kernel_sum(grad_output, input, 0, options);
}

at::Tensor soft_rank_derivative_cuda(at::TensorList directions, const at::Tensor& input,
                                     double regularization_strength, std::string_view method,
                                     const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_rank_derivative(directions, input, options);
  return kernel_sum(directions, input, 0, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  library.impl("soft_rank", soft_rank_cuda);
  library.impl("soft_rank_backward", soft_rank_backward_cuda);
  library.impl("_soft_rank_derivative", soft_rank_derivative_cuda);
}

}  // namespace rank_relax
