#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <limits>

#include "torch/checks.h"
#include "torch/composite/centered.h"
#include "torch/operators.h"

namespace rank_relax {
namespace {

/// The point at level q (n - 1) + 1/2 of the n items that count: among sorted values, whose levels
/// are k - 1/2, q is where torch.quantile has it. NaN, as there, for a list that holds one.
at::Tensor soft_quantile(const at::Tensor& input, const at::Tensor& q,
                         double regularization_strength, std::string_view method,
                         const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_quantile(input, q, options);
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  at::Tensor undefined = at::isnan(input);
  at::Tensor counted = undefined.logical_not();
  if (mask.has_value()) {
    undefined = undefined.logical_and(*mask);
    counted = counted.logical_and(*mask);
  }
  const at::Tensor q_valid =
      q.to(at::kDouble).masked_fill((q >= 0).logical_and(q <= 1).logical_not(), kNan);
  const at::Tensor count = counted.sum(-1, /*keepdim=*/true).to(at::kDouble);
  const at::Tensor levels = q_valid * (count - 1) + 0.5;
  const Centered list = centered(input, mask);
  const at::Tensor points =
      operators::quantile_at_levels()(list.values, levels, options) + list.center;
  const at::Tensor nan_or_one =
      at::ones_like(count).masked_fill(undefined.any(-1, /*keepdim=*/true), kNan);
  return (points * nan_or_one).to(input.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("soft_quantile", soft_quantile);
}

}  // namespace rank_relax
