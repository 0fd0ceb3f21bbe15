#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"
#include "torch/operators.h"

namespace rank_relax {
namespace {

/// The public operator over the private forward, whose other outputs are for the backward alone.
/// Integer and bool targets are taken as the predictions' dtype; two floating dtypes are promoted.
at::Tensor spearman_loss(const at::Tensor& predictions, const at::Tensor& targets,
                         double regularization_strength, std::string_view method,
                         const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_values("spearman_loss", "predictions", predictions);
  at::ScalarType dtype = predictions.scalar_type();
  if (!at::isIntegralType(targets.scalar_type(), /*includeBool=*/true)) {
    check_values("spearman_loss", "targets", targets);
    dtype = c10::promoteTypes(dtype, targets.scalar_type());
  }
  return std::get<0>(
      operators::spearman_loss_forward()(predictions.to(dtype), targets.to(dtype), options));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("spearman_loss", spearman_loss);
}

}  // namespace rank_relax
