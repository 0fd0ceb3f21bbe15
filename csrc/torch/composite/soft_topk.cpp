#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/special_ndtr.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <limits>

#include "core/smooth_cdf.h"
#include "torch/checks.h"
#include "torch/composite/centered.h"
#include "torch/operators.h"

namespace rank_relax {
namespace {

using at::Tensor;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor number_of(const Tensor& items) { return items.sum(-1, /*keepdim=*/true, at::kDouble); }

Tensor cdf(const Tensor& d, std::string_view method) {
  return method == Sigmoid::name ? at::sigmoid(d) : at::special_ndtr(d);
}

/// F', of d that needs no gradient.
Tensor density(const Tensor& d, std::string_view method) {
  if (method == Sigmoid::name) return at::sigmoid(d) * at::sigmoid(-d);
  return at::exp(d * d / -2) * 0.39894228040143267794;  // 1/sqrt(2π)
}

/// F(α (x_i - c)) of the items that are `ordinary`, which add up to `wanted`; and the limits for a
/// threshold c that is infinite. c is rounded to a double, which shows where α c is large: one step
/// of Newton's method takes that out of the sum. It is a constant, since c has the derivatives of
/// the exact threshold.
Tensor above_threshold(const Tensor& values, const Tensor& threshold, const Tensor& ordinary,
                       const Tensor& wanted, const Options& options) {
  const Tensor finite = threshold.masked_fill(at::isinf(threshold), 0);
  const Tensor d = (values - finite) * options.regularization_strength;
  const Tensor fixed = d.detach();
  const auto sum = [&](const Tensor& items) {
    return items.masked_fill(ordinary.logical_not(), 0).sum(-1, /*keepdim=*/true);
  };
  constexpr double kFlat = 1e-6;  // in a gap there is nothing to take out, but rounding
  const Tensor slope = sum(density(fixed, options.method));
  const Tensor step = ((sum(cdf(fixed, options.method)) - wanted) / slope)
                          .masked_fill((slope > kFlat).logical_not(), 0);
  return cdf(d - step, options.method)
      .masked_fill(threshold == kInfinity, 0)
      .masked_fill(threshold == -kInfinity, 1);
}

/// F(α (x_i - c)) with the threshold c at which it adds up to k: that of level n - k of the
/// smoothed count, whose exact derivatives make those of the sum 0. Infinite items are all in or
/// all out, unless k falls among equal ones, which then share what there is.
Tensor soft_topk(const Tensor& input, const Tensor& k, double regularization_strength,
                 std::string_view method, const std::optional<Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_topk(input, k, options);
  const Tensor is_nan = at::isnan(input);
  const Tensor unmasked = mask.has_value() ? *mask : at::ones_like(is_nan);
  const Tensor undefined = is_nan.logical_and(unmasked);
  const Tensor top = (input == kInfinity).logical_and(unmasked);
  const Tensor bottom = (input == -kInfinity).logical_and(unmasked);
  const Tensor infinite = top.logical_or(bottom);
  const Tensor counted = unmasked.logical_and(is_nan.logical_not());

  const Tensor count = number_of(counted), tops = number_of(top), bottoms = number_of(bottom);
  const Tensor wanted = k.to(at::kDouble).unsqueeze(-1);
  const Tensor share = at::minimum(wanted.masked_fill(wanted < 0, kNan), count);
  const Tensor from_center = centered(input, mask).values;
  const Tensor threshold = operators::quantile_at_levels()(from_center, count - share, options);

  // All in double, rounded once: in float32 the relative errors of Φ far out, alike in many items,
  // would show in their sum.
  const Tensor ordinary = counted.logical_and(infinite.logical_not());
  const Tensor values = from_center.masked_fill(ordinary.logical_not(), 0);
  const Tensor of_tops = (share / tops.clamp_min(1)).clamp(0, 1);
  const Tensor of_bottoms = ((share - (count - bottoms)) / bottoms.clamp_min(1)).clamp(0, 1);
  Tensor chosen = above_threshold(values, threshold, ordinary, share - tops, options);
  chosen = at::where(top, of_tops, at::where(bottom, of_bottoms, chosen));
  // A NaN item's own is NaN, with NaN for its gradient, and no other item's.
  const Tensor nan_or_one = at::ones_like(values).masked_fill(undefined, kNan);
  const Tensor nan_items =
      input.to(at::kDouble).masked_fill(undefined.logical_not(), 0) * nan_or_one;
  chosen = at::where(undefined, nan_items, chosen);
  return chosen.masked_fill(unmasked.logical_not(), 0).to(input.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("soft_topk", soft_topk);
}

}  // namespace rank_relax
