#include "torch/composite/soft_quantile_at_levels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "torch/cdf/by_method.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_quantile.h"

namespace rank_relax {
namespace quantile_at_levels {
namespace {

using at::Tensor;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor counted_items(const Tensor& input, const Options& options) {
  const Tensor finite = at::isfinite(input);
  return options.mask.has_value() ? finite.logical_and(*options.mask) : finite;
}

/// [*, L, n]
Tensor weights(const Tensor& input, const Tensor& points, const Options& options) {
  const Tensor counted = counted_items(input, options);
  const Tensor known = at::isfinite(points).logical_and(counted.any(-1, /*keepdim=*/true));
  const Tensor values = input.masked_fill(counted.logical_not(), 0).unsqueeze(-2);
  const Tensor at = points.masked_fill(known.logical_not(), 0).unsqueeze(-1);
  const Tensor items = counted.unsqueeze(-2);
  if (input.sym_size(-1) == 0) return at - values;  // empty
  // So that no difference, nor its square, overflows: the limit is the same.
  constexpr double kFarthest = 1e150;
  const Tensor largest = values.detach().abs().amax(-1, /*keepdim=*/true).clamp_min(1 / kFarthest);
  const Tensor strength = (kFarthest / largest).clamp_max(options.regularization_strength);
  const Tensor d = (at - values) * strength;
  const Tensor logits = of_cdf(options.method, [&](auto cdf) {
                          return cdf.log_density(d, items);
                        }).masked_fill(items.logical_not(), -kInfinity);
  return logits.softmax(-1).masked_fill(known.unsqueeze(-1).logical_not(), 0);
}

}  // namespace

Tensor backward(const Tensor& grad_points, const Tensor& input, const Tensor& points,
                const Options& options) {
  const Tensor ignored = at::isfinite(points).logical_not();
  const Tensor gradient =
      (weights(input, points, options) * grad_points.masked_fill(ignored, 0).unsqueeze(-1)).sum(-2);
  const Tensor counted = counted_items(input, options);
  const Tensor undefined = at::isnan(points).any(-1, /*keepdim=*/true).logical_and(counted);
  return gradient.masked_fill(undefined, kNan).masked_fill(counted.logical_not(), 0);
}

Tensor tangent(const Tensor& direction, const Tensor& input, const Tensor& points,
               const Options& options) {
  const Tensor counted = counted_items(input, options);
  const Tensor along = direction.masked_fill(counted.logical_not(), 0).unsqueeze(-2);
  return (weights(input, points, options) * along).sum(-1).masked_fill(at::isnan(points), kNan);
}

}  // namespace quantile_at_levels

namespace {

/// So many levels at a time that working memory is some 32 MiB, or that of one level.
int64_t levels_at_a_time(const at::Tensor& input) {
  return std::max<int64_t>((1 << 22) / std::max<int64_t>(input.numel(), 1), 1);
}

at::Tensor quantile_at_levels_backward(const at::Tensor& grad_points, const at::Tensor& input,
                                       const at::Tensor& levels, const at::Tensor& points,
                                       const Options& options) {
  const at::Tensor values = input.to(at::kDouble);
  at::Tensor gradient = at::zeros(values.sizes(), values.options());
  const int64_t count = levels.size(-1), step = levels_at_a_time(input);
  for (int64_t begin = 0; begin < count; begin += step) {
    const int64_t length = std::min(step, count - begin);
    gradient =
        gradient + quantile_at_levels::backward(grad_points.narrow(-1, begin, length), values,
                                                points.narrow(-1, begin, length), options);
  }
  return gradient.to(input.scalar_type());
}

at::Tensor quantile_at_levels_tangent(const at::Tensor& direction, const at::Tensor& input,
                                      const at::Tensor& levels, const at::Tensor& points,
                                      const Options& options) {
  const at::Tensor values = input.to(at::kDouble), along = direction.to(at::kDouble);
  at::Tensor tangents = at::empty(points.sizes(), points.options());
  const int64_t count = levels.size(-1), step = levels_at_a_time(input);
  for (int64_t begin = 0; begin < count; begin += step) {
    const int64_t length = std::min(step, count - begin);
    tangents.narrow(-1, begin, length)
        .copy_(
            quantile_at_levels::tangent(along, values, points.narrow(-1, begin, length), options));
  }
  return tangents;
}

}  // namespace

// Elsewhere by the CPU's kernels.
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::QuantileAtLevelsBackward, quantile_at_levels_backward>(library);
  kernel<operators::QuantileAtLevelsTangent, quantile_at_levels_tangent>(library);
}

}  // namespace rank_relax
