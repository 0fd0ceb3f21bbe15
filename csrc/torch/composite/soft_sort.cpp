#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <tuple>

#include "torch/operators.h"

namespace rank_relax {
namespace {

/// The public operator over the private forward, whose other outputs are for the backward alone.
at::Tensor soft_sort(const at::Tensor& input, double regularization_strength,
                     std::string_view method, const std::optional<at::Tensor>& mask) {
  return std::get<0>(
      operators::permutahedron_sort_forward()(input, {regularization_strength, method, mask}));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("soft_sort", soft_sort);
}

}  // namespace rank_relax
