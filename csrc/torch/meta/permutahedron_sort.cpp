#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> permutahedron_sort_forward_meta(
    const at::Tensor& input, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  check_permutahedron_sort_forward(input, {regularization_strength, method, mask});
  return {at::empty_symint(input.sym_sizes(), input.options()),
          at::empty_symint(input.sym_sizes(), input.options().dtype(at::kLong)),
          at::empty_symint(input.sym_sizes(), input.options().dtype(at::kInt))};
}

at::Tensor permutahedron_sort_backward_meta(const at::Tensor& grad_output, const at::Tensor& input,
                                            const at::Tensor& permutation, const at::Tensor& blocks,
                                            double regularization_strength, std::string_view method,
                                            const std::optional<at::Tensor>& mask) {
  check_permutahedron_sort_product("_permutahedron_sort_backward", "grad_output", grad_output,
                                   input, permutation, blocks,
                                   {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

at::Tensor permutahedron_sort_tangent_meta(const at::Tensor& direction, const at::Tensor& input,
                                           const at::Tensor& permutation, const at::Tensor& blocks,
                                           double regularization_strength, std::string_view method,
                                           const std::optional<at::Tensor>& mask) {
  check_permutahedron_sort_product("_permutahedron_sort_tangent", "direction", direction, input,
                                   permutation, blocks, {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("_permutahedron_sort_forward", permutahedron_sort_forward_meta);
  library.impl("_permutahedron_sort_backward", permutahedron_sort_backward_meta);
  library.impl("_permutahedron_sort_tangent", permutahedron_sort_tangent_meta);
}

}  // namespace rank_relax
