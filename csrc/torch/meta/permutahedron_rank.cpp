#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor> permutahedron_rank_forward_meta(
    const at::Tensor& input, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  check_permutahedron_rank_forward(input, {regularization_strength, method, mask});
  return {at::empty_symint(input.sym_sizes(), input.options()),
          at::empty_symint(input.sym_sizes(), input.options().dtype(at::kInt))};
}

at::Tensor permutahedron_rank_derivative_meta(at::TensorList directions, const at::Tensor& input,
                                              const at::Tensor& blocks,
                                              double regularization_strength,
                                              std::string_view method,
                                              const std::optional<at::Tensor>& mask) {
  check_permutahedron_rank_derivative(directions, input, blocks,
                                      {regularization_strength, method, mask});
  return at::empty_symint(input.sym_sizes(), input.options());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("_permutahedron_rank_forward", permutahedron_rank_forward_meta);
  library.impl("_permutahedron_rank_derivative", permutahedron_rank_derivative_meta);
}

}  // namespace rank_relax
