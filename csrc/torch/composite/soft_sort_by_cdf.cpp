#include "torch/composite/soft_sort_by_cdf.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>

#include "torch/any_device/float64.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_rank.h"
#include "torch/operators/soft_sort.h"

namespace rank_relax {
namespace quantile_sort {
namespace {

using at::Tensor;

/// Numbers on a line, and which of them count.
struct Places {
  Tensor at;
  Tensor counted;
};

Places values_of(const Point& point, const Options& options) {
  const Tensor finite = at::isfinite(point.input);
  return {point.input, options.mask.has_value() ? finite.logical_and(*options.mask) : finite};
}

Places points_of(const Point& point) { return {point.points, point.known}; }

/// Σ_j w_j F'(α (t_i - s_j)), over sources s that count, at targets t that count; else 0. With
/// weight 0 at the targets, a term (v_i - v_j) F'(α (z_i - z_j)) of the derivative of a soft rank
/// is -w_j F' there.
Tensor density_sum(const Places& targets, const Places& sources, const Tensor& weights,
                   const Options& options) {
  const double strength = options.regularization_strength;
  const double shrink = 1 / std::max(strength, 1.0);  // so that α does not make it overflow
  const Tensor counted_weights = weights.masked_fill(sources.counted.logical_not(), 0) * shrink;
  const std::optional<Tensor> counted = at::cat({targets.counted, sources.counted}, -1);
  const Tensor derivative = operators::soft_rank_derivative(
      {at::cat({at::zeros_like(targets.at), counted_weights}, -1)},
      at::cat({targets.at, sources.at}, -1), {strength, options.method, counted});
  const Tensor others = counted->sum(-1, /*keepdim=*/true).to(at::kDouble) - 1;
  return derivative.narrow_symint(-1, 0, targets.at.sym_size(-1)) * (others / -(strength * shrink));
}

Point point_at(const Tensor& input, const Tensor& points, const Tensor& densities,
               const Options& options) {
  Point point{input, points, {}, float64_of(densities) > 0};
  point.densities =
      density_sum(points_of(point), values_of(point, options), at::ones_like(point.input), options);
  return point;
}

}  // namespace

Point known_point(const Tensor& input, const Tensor& points, const Tensor& densities,
                  const Options& options) {
  return point_at(input.to(at::kDouble), float64_of(points), densities, options);
}

Point differentiable_point(const Tensor& input, const Tensor& densities, const Options& options) {
  const Tensor values = input.to(at::kDouble);
  return point_at(values, operators::soft_sort(values, options), densities, options);
}

Tensor backward(const Tensor& grad_output, const Point& point, const Options& options) {
  const Tensor unknown = point.known.logical_not();
  const Tensor weights =
      grad_output.to(at::kDouble).masked_fill(unknown, 0) / point.densities.masked_fill(unknown, 1);
  const Tensor sum = density_sum(values_of(point, options), points_of(point), weights, options);
  Tensor undefined = at::isnan(point.input);
  if (options.mask.has_value()) undefined = undefined.logical_and(*options.mask);
  return sum.masked_fill(undefined, std::numeric_limits<double>::quiet_NaN());
}

Tensor tangent(const Tensor& direction, const Point& point, const Options& options) {
  const Tensor sum =
      density_sum(points_of(point), values_of(point, options), direction.to(at::kDouble), options);
  const Tensor mean = sum / point.densities.masked_fill(point.known.logical_not(), 1);
  return mean.masked_fill(at::isnan(point.points), std::numeric_limits<double>::quiet_NaN());
}

}  // namespace quantile_sort

namespace {

at::Tensor quantile_sort_backward(const at::Tensor& grad_output, const at::Tensor& input,
                                  const at::Tensor& points, const at::Tensor& densities,
                                  const Options& options) {
  return quantile_sort::backward(
             grad_output, quantile_sort::known_point(input, points, densities, options), options)
      .to(input.scalar_type());
}

at::Tensor quantile_sort_tangent(const at::Tensor& direction, const at::Tensor& input,
                                 const at::Tensor& points, const at::Tensor& densities,
                                 const Options& options) {
  return quantile_sort::tangent(
             direction, quantile_sort::known_point(input, points, densities, options), options)
      .to(input.scalar_type());
}

}  // namespace

// Elsewhere by the CPU's kernels.
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::QuantileSortBackward, quantile_sort_backward>(library);
  kernel<operators::QuantileSortTangent, quantile_sort_tangent>(library);
}

}  // namespace rank_relax
