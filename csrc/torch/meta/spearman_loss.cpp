#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"
#include "torch/target_checks.h"

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

std::tuple<at::Tensor, at::Tensor> spearman_loss_at_ranks_forward_meta(
    const at::Tensor& predictions, const at::Tensor& target_ranks, double regularization_strength,
    std::string_view method, const std::optional<at::Tensor>& mask) {
  check_spearman_loss_at_ranks_forward(predictions, target_ranks,
                                       {regularization_strength, method, mask});
  const at::TensorOptions statistics = predictions.options().dtype(statistics_dtype(predictions));
  return {at::empty_symint(predictions.sym_sizes().slice(0, predictions.dim() - 1),
                           predictions.options()),
          at::empty_symint(predictions.sym_sizes(), statistics)};
}

at::Tensor spearman_loss_at_ranks_backward_meta(
    const at::Tensor& grad_output, const at::Tensor& predictions, const at::Tensor& target_ranks,
    const at::Tensor& rank_gradient, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  check_spearman_loss_at_ranks_backward(grad_output, predictions, target_ranks, rank_gradient,
                                        {regularization_strength, method, mask});
  return at::empty_symint(predictions.sym_sizes(), predictions.options());
}

at::Tensor centered_integer_rank_meta(const at::Tensor& input, double regularization_strength,
                                      std::string_view method,
                                      const std::optional<at::Tensor>& mask, at::ScalarType dtype) {
  check_centered_integer_rank(input, {regularization_strength, method, mask}, dtype);
  return at::empty_symint(input.sym_sizes(), input.options().dtype(dtype));
}

at::Tensor integer_scores_meta(const at::Tensor& input, const at::Tensor& strengths,
                               std::string_view method, const std::optional<at::Tensor>& mask) {
  check_integer_scores(input, strengths, method, mask);
  return at::empty_symint(input.sym_sizes(), input.options().dtype(at::kDouble));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("_spearman_loss_forward", spearman_loss_forward_meta);
  library.impl("_spearman_loss_backward", spearman_loss_backward_meta);
  library.impl("_spearman_loss_at_ranks_forward", spearman_loss_at_ranks_forward_meta);
  library.impl("_spearman_loss_at_ranks_backward", spearman_loss_at_ranks_backward_meta);
  library.impl("_centered_integer_rank", centered_integer_rank_meta);
  library.impl("_integer_scores", integer_scores_meta);
}

}  // namespace rank_relax
