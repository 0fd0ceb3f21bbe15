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
  const at::Tensor center =
      (minimum / 2 + maximum / 2).masked_fill(ignored.all(-1, /*keepdim=*/true), 0);
  return {values - center, center};
}

}  // namespace rank_relax
