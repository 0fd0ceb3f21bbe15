#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "torch/checks.h"

// Outputs are contiguous, whatever the strides of the input, here as in the kernels.

namespace rank_relax {
namespace {

at::Tensor soft_rank_meta(const at::Tensor& input, double regularization_strength,
                          std::string_view method, const std::optional<at::Tensor>& mask) {
  check_soft_rank(input, {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

at::Tensor soft_rank_backward_meta(const at::Tensor& grad_output, const at::Tensor& input,
                                   double regularization_strength, std::string_view method,
                                   const std::optional<at::Tensor>& mask) {
  check_soft_rank_backward(grad_output, input, {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

at::Tensor soft_rank_derivative_meta(at::TensorList directions, const at::Tensor& input,
                                     double regularization_strength, std::string_view method,
                                     const std::optional<at::Tensor>& mask) {
  check_soft_rank_derivative(directions, input, {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("soft_rank", soft_rank_meta);
  library.impl("soft_rank_backward", soft_rank_backward_meta);
  library.impl("_soft_rank_derivative", soft_rank_derivative_meta);
}

}  // namespace rank_relax
