#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"

namespace rank_relax {
namespace {

at::Tensor soft_sort_meta(const at::Tensor& input, double regularization_strength,
                          std::string_view method, const std::optional<at::Tensor>& mask) {
  check_soft_sort(input, {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> quantile_sort_forward_meta(
    const at::Tensor& input, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  check_quantile_sort_forward(input, {regularization_strength, method, mask});
  const at::TensorOptions bits = input.options().dtype(at::kLong);
  return {at::empty_symint(input.sym_sizes(), input.options()),
          at::empty_symint(input.sym_sizes(), bits), at::empty_symint(input.sym_sizes(), bits)};
}

at::Tensor quantile_at_levels_meta(const at::Tensor& input, const at::Tensor& levels,
                                   double regularization_strength, std::string_view method,
                                   const std::optional<at::Tensor>& mask) {
  check_quantile_at_levels("_quantile_at_levels", input, levels,
                           {regularization_strength, method, mask});
  return at::empty_symint(levels.sym_sizes(), levels.options());
}

template <bool transposed>
at::Tensor quantile_sort_product_meta(const at::Tensor& vector, const at::Tensor& input,
                                      const at::Tensor& points, const at::Tensor& densities,
                                      double regularization_strength, std::string_view method,
                                      const std::optional<at::Tensor>& mask) {
  check_quantile_sort_product(transposed ? "_quantile_sort_backward" : "_quantile_sort_tangent",
                              transposed ? "grad_output" : "direction", vector, input, points,
                              densities, {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

at::Tensor quantile_at_levels_backward_meta(const at::Tensor& grad_points, const at::Tensor& input,
                                            const at::Tensor& levels, const at::Tensor& points,
                                            double regularization_strength, std::string_view method,
                                            const std::optional<at::Tensor>& mask) {
  constexpr const char* op = "_quantile_at_levels_backward";
  check_quantile_at_levels_product(op, input, levels, points,
                                   {regularization_strength, method, mask});
  check_at_levels(op, "grad_points", grad_points, levels);
  return at::empty_symint(input.sym_sizes(), input.options());
}

at::Tensor quantile_at_levels_tangent_meta(const at::Tensor& direction, const at::Tensor& input,
                                           const at::Tensor& levels, const at::Tensor& points,
                                           double regularization_strength, std::string_view method,
                                           const std::optional<at::Tensor>& mask) {
  constexpr const char* op = "_quantile_at_levels_tangent";
  check_quantile_at_levels_product(op, input, levels, points,
                                   {regularization_strength, method, mask});
  check_direction(op, direction, input);
  return at::empty_symint(points.sym_sizes(), points.options());
}

std::tuple<at::Tensor, at::Tensor> soft_topk_forward_meta(const at::Tensor& input,
                                                          const at::Tensor& k,
                                                          double regularization_strength,
                                                          std::string_view method,
                                                          const std::optional<at::Tensor>& mask) {
  check_soft_topk_forward(input, k, {regularization_strength, method, mask});
  return {at::empty_symint(input.sym_sizes(), input.options()),
          at::empty_symint(input.sym_sizes(), input.options().dtype(at::kLong))};
}

at::Tensor soft_topk_backward_meta(const at::Tensor& grad_output, const at::Tensor& input,
                                   const at::Tensor& k, const at::Tensor& densities,
                                   double regularization_strength, std::string_view method,
                                   const std::optional<at::Tensor>& mask) {
  check_soft_topk_backward(grad_output, input, k, densities,
                           {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("soft_sort", soft_sort_meta);
  library.impl("_quantile_sort_forward", quantile_sort_forward_meta);
  library.impl("_quantile_sort_backward", quantile_sort_product_meta<true>);
  library.impl("_quantile_sort_tangent", quantile_sort_product_meta<false>);
  library.impl("_quantile_at_levels", quantile_at_levels_meta);
  library.impl("_quantile_at_levels_backward", quantile_at_levels_backward_meta);
  library.impl("_quantile_at_levels_tangent", quantile_at_levels_tangent_meta);
  library.impl("_soft_topk_forward", soft_topk_forward_meta);
  library.impl("_soft_topk_backward", soft_topk_backward_meta);
}

}  // namespace rank_relax
