#include "torch/composite/soft_topk.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <limits>
#include <vector>

#include "core/inverse/soft_topk_step.h"
#include "torch/cdf/by_method.h"
#include "torch/composite/function_call.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_quantile.h"
#include "torch/operators/soft_topk.h"

namespace rank_relax {
namespace topk {
namespace {

using at::Tensor;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor number_of(const Tensor& items) { return items.sum(-1, /*keepdim=*/true).to(at::kDouble); }

Tensor cdf(const Tensor& d, std::string_view method) {
  return of_cdf(method, [&](auto of) { return of.cdf(d); });
}

Tensor density(const Tensor& d, std::string_view method) {
  return of_cdf(method, [&](auto of) { return of.density(d); });
}

/// The values around the item that is nearest to where the threshold is: a double may be too coarse
/// for it, and differences of items near it are exact.
Tensor around_threshold(const Tensor& input, const Tensor& level, const Tensor& ordinary,
                        const Options& options) {
  const Tensor values = input.to(at::kDouble);
  if (input.sym_size(-1) == 0) return values;
  const Tensor fixed = values.detach();
  const Tensor threshold = operators::quantile_at_levels(fixed, level, options);
  const Tensor point = threshold.masked_fill(at::isfinite(threshold).logical_not(), 0);
  const Tensor next = at::where((fixed >= point).logical_and(ordinary), fixed, kInfinity)
                          .amin(-1, /*keepdim=*/true);
  const Tensor last = at::where((fixed <= point).logical_and(ordinary), fixed, -kInfinity)
                          .amax(-1, /*keepdim=*/true);
  const Tensor nearest = at::where(next - point <= point - last, next, last);
  const Tensor center = nearest.masked_fill(at::isfinite(nearest).logical_not(), 0);
  constexpr double kMost = std::numeric_limits<double>::max();
  return at::where(at::isinf(fixed), values, (values - center).clamp(-kMost, kMost));
}

/// α (x_i - c) less a step of Newton's method: c is rounded to a double, which shows where α c is
/// large, and the step takes that out of the sum of the `ordinary` items, which is `wanted`. It is
/// a constant, since c has the derivatives of the exact threshold.
Tensor from_threshold(const Tensor& values, const Tensor& threshold, const Tensor& ordinary,
                      const Tensor& wanted, const Options& options) {
  const Tensor d = (values - threshold) * options.regularization_strength;
  const Tensor fixed = d.detach();
  const auto sum = [&](const Tensor& items) {
    return items.masked_fill(ordinary.logical_not(), 0).sum(-1, /*keepdim=*/true);
  };
  // In a gap there is nothing to take out, nor within the rounding of the sum.
  const Tensor slope = sum(density(fixed, options.method));
  const Tensor excess = sum(cdf(fixed, options.method)) - wanted;
  const Tensor worth_it =
      (slope > topk_step::kFlat)
          .logical_and(excess.abs() > topk_step::kRounding * number_of(ordinary));
  const Tensor step = (excess / slope).masked_fill(worth_it.logical_not(), 0);
  return d - step;
}

}  // namespace

std::tuple<Tensor, Tensor> forward(const Tensor& input, const Tensor& number,
                                   const Options& options) {
  const Tensor k = number.to(at::kDouble);
  const std::optional<Tensor>& mask = options.mask;
  const Tensor is_nan = at::isnan(input);
  const Tensor unmasked = mask.has_value() ? *mask : at::ones_like(is_nan);
  const Tensor undefined = is_nan.logical_and(unmasked);
  const Tensor top = (input == kInfinity).logical_and(unmasked);
  const Tensor bottom = (input == -kInfinity).logical_and(unmasked);
  const Tensor infinite = top.logical_or(bottom);
  const Tensor counted = unmasked.logical_and(is_nan.logical_not());

  const Tensor count = number_of(counted), tops = number_of(top), bottoms = number_of(bottom);
  const Tensor share = at::minimum(k.masked_fill(k < 0, kNan), count);
  const Tensor ordinary = counted.logical_and(infinite.logical_not());
  const Tensor from_item = around_threshold(input, count - share, ordinary, options);
  // The point at level n - k of the smoothed count, whose exact derivatives make those of the sum
  // 0.
  const Tensor threshold = operators::quantile_at_levels(from_item, count - share, options);

  // All in double, rounded once: in float32 the relative errors of Φ far out, alike in many items,
  // would show in their sum.
  const Tensor values = from_item.masked_fill(ordinary.logical_not(), 0);
  const Tensor all_or_none = at::isinf(threshold);
  const Tensor d = from_threshold(values, threshold.masked_fill(all_or_none, 0), ordinary,
                                  share - tops, options);
  const Tensor of_tops = (share / tops.clamp_min(1)).clamp(0, 1);
  const Tensor of_bottoms = ((share - (count - bottoms)) / bottoms.clamp_min(1)).clamp(0, 1);
  Tensor chosen = cdf(d, options.method)
                      .masked_fill(threshold == kInfinity, 0)
                      .masked_fill(threshold == -kInfinity, 1);
  chosen = at::where(top, of_tops, at::where(bottom, of_bottoms, chosen));
  Tensor densities =
      density(d, options.method).masked_fill(all_or_none.logical_or(ordinary.logical_not()), 0);
  // A NaN item is chosen by NaN, with NaN for its gradient, and no other item is.
  const Tensor nan_or_one = at::ones_like(values).masked_fill(undefined, kNan);
  const Tensor nan_items =
      input.to(at::kDouble).masked_fill(undefined.logical_not(), 0) * nan_or_one;
  const Tensor masked = unmasked.logical_not();
  return {at::where(undefined, nan_items, chosen).masked_fill(masked, 0),
          at::where(undefined, nan_items, densities).masked_fill(masked, 0)};
}

Tensor backward(const Tensor& grad_output, const Tensor& densities,
                double regularization_strength) {
  const Tensor fixed = densities.detach();
  const Tensor without = (fixed > 0).logical_not();
  const Tensor f = densities.masked_fill(without, 0);
  const Tensor g = grad_output.to(at::kDouble).masked_fill(without, 0);
  const Tensor total = f.sum(-1, /*keepdim=*/true);
  const Tensor mean = (f * g).sum(-1, /*keepdim=*/true) / total.masked_fill(total == 0, 1);
  const Tensor products = (g - mean) * f * regularization_strength;
  return products.masked_fill(at::isnan(fixed), kNan);
}

}  // namespace topk

namespace {

using at::Tensor;

Tensor soft_topk(const Tensor& input, const Tensor& k, const Options& options) {
  std::vector<c10::SymInt> one_a_list = input.sym_sizes().vec();
  one_a_list.back() = 1;
  const Tensor of_lists = k.unsqueeze(-1).expand_symint(one_a_list);
  return std::get<0>(operators::soft_topk_forward(input, of_lists, options));
}

void check_soft_topk(const FunctionCall& call, const Options& options) {
  operators::SoftTopK::check(call.input, call.level.value_or(Tensor()), options);
}

Tensor value_of_soft_topk(const FunctionCall& call, const Options& options) {
  return operators::soft_topk(call.input, call.level_or_number({}), options);
}

Tensor soft_topk_in_float64(const FunctionCall& call, const Options& options) {
  return operators::soft_topk(call.scaled(call.input, options).values(), call.level_or_number({}),
                              options);
}

const ListFunction of_masks{operators::SoftTopK::name, check_soft_topk, value_of_soft_topk,
                            soft_topk_in_float64, Result::kItems};

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::SoftTopK, soft_topk>(library);
}

}  // namespace rank_relax
