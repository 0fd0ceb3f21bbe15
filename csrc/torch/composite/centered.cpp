#include "torch/composite/centered.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>

#include <limits>

namespace rank_relax {

Centered centered(const at::Tensor& input, const std::optional<at::Tensor>& mask) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const at::Tensor values = input.to(at::kDouble);
  if (input.sym_size(-1) == 0) return {values, values.sum(-1, /*keepdim=*/true).detach()};
  const at::Tensor fixed = values.detach();
  at::Tensor ignored = at::isfinite(fixed).logical_not();
  if (mask.has_value()) ignored = ignored.logical_or(mask->logical_not());
  const at::Tensor minimum = fixed.masked_fill(ignored, kInfinity).amin(-1, /*keepdim=*/true);
  const at::Tensor maximum = fixed.masked_fill(ignored, -kInfinity).amax(-1, /*keepdim=*/true);
  // Then no item is less than half the middle or more than twice it, and differences are exact.
  const at::Tensor far_from_0 = (minimum > 0)
                                    .logical_and(maximum <= 3 * minimum)
                                    .logical_or((maximum < 0).logical_and(minimum >= 3 * maximum));
  const at::Tensor around_0 =
      far_from_0.logical_not().logical_or(ignored.all(-1, /*keepdim=*/true));
  const at::Tensor center = (minimum / 2 + maximum / 2).masked_fill(around_0, 0);
  return {values - center, center};
}

}  // namespace rank_relax
