#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> spearman_loss_forward_meta(
    const at::Tensor& predictions, const at::Tensor& targets, double regularization_strength,
    std::string_view method, const std::optional<at::Tensor>& mask) {
  check_spearman_loss_forward(predictions, targets, {regularization_strength, method, mask});
  const at::TensorOptions statistics = predictions.options().dtype(statistics_dtype(predictions));
  return {at::empty_symint(predictions.sym_sizes().slice(0, predictions.dim() - 1),
                           predictions.options()),
          at::empty_symint(predictions.sym_sizes(), statistics),
          at::empty_symint(predictions.sym_sizes(), statistics)};
}

at::Tensor spearman_loss_backward_meta(const at::Tensor& grad_output, const at::Tensor& predictions,
                                       const at::Tensor& targets, const at::Tensor& rank_gradient,
                                       double regularization_strength, std::string_view method,
                                       const std::optional<at::Tensor>& mask) {
  check_spearman_loss_backward(grad_output, predictions, targets, rank_gradient,
                               {regularization_strength, method, mask});
  return at::empty_symint(predictions.sym_sizes(), predictions.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("_spearman_loss_forward", spearman_loss_forward_meta);
  library.impl("_spearman_loss_backward", spearman_loss_backward_meta);
}

}  // namespace rank_relax
