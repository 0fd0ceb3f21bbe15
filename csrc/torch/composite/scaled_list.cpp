#include "torch/composite/scaled_list.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <c10/core/SymBool.h>

#include <limits>

namespace rank_relax {
namespace {

using at::Tensor;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The maximum of each list; `least` if it is empty, as one of a length that a graph does not know
/// may be.
Tensor maximum(const Tensor& values, double least) {
  const bool has_items = TORCH_GUARD_OR_FALSE(values.sym_size(-1).sym_gt(0));
  const Tensor items = has_items ? values : at::constant_pad_nd_symint(values, {0, 1}, least);
  return items.amax(-1, /*keepdim=*/true);
}

Tensor largest_magnitude(const Tensor& values) {
  const Tensor largest = maximum(values.detach().abs(), 0);
  return largest.masked_fill(largest == 0, 1);
}

/// The middle of each list, as a constant; 0 where nothing counts.
Tensor middle(const Tensor& values, const Tensor& counted) {
  const Tensor fixed = values.detach();
  const Tensor ignored = counted.logical_not();
  const Tensor low = -maximum(-fixed.masked_fill(ignored, kInfinity), -kInfinity);
  const Tensor high = maximum(fixed.masked_fill(ignored, -kInfinity), -kInfinity);
  return at::where(low <= high, low / 2 + high / 2, 0);
}

/// One for each list, [*, 1], and NaN for what is no strength.
Tensor of_lists(const Tensor& strength, const Tensor& values) {
  Tensor of_lists = strength.to(values.options());
  while (of_lists.dim() < values.dim()) of_lists = of_lists.unsqueeze(-1);
  const Tensor valid = (of_lists > 0).logical_and(at::isfinite(of_lists));
  return at::where(valid, of_lists, kNan);
}

}  // namespace

ScaledList::ScaledList(const Tensor& values, const std::optional<Tensor>& strength,
                       bool standardize, const std::optional<Tensor>& mask)
    : values_(values) {
  const bool has_strength = strength.has_value() && strength->defined();
  if (!has_strength && !standardize) return;
  const Tensor alpha = has_strength ? of_lists(*strength, values) : Tensor();
  if (TORCH_GUARD_OR_FALSE(values.sym_size(-1).sym_eq(0))) {
    if (has_strength) values_ = values * alpha;  // empty, and part of the strength's graph
    return;
  }
  Tensor counted = at::isfinite(values.detach());
  if (mask.has_value()) counted = counted.logical_and(*mask);
  // A strength's gradient is Σ x ∂L/∂x, in which any common part of x cancels.
  center_ = middle(values, counted);
  Tensor scaled = at::where(counted, values - center_, 0);
  Tensor others = values;
  if (standardize) {
    // Within [-1, 1], so that no square overflows or vanishes.
    const Tensor largest = largest_magnitude(scaled);
    scaled = scaled / largest;
    const Tensor number = counted.sum(-1, /*keepdim=*/true).clamp_min(1);
    const Tensor mean = scaled.sum(-1, /*keepdim=*/true) / number;
    scaled = at::where(counted, scaled - mean, 0);
    const Tensor variance = (scaled * scaled).sum(-1, /*keepdim=*/true) / number;
    const Tensor constant = variance == 0;
    const Tensor deviation = at::sqrt(variance.masked_fill(constant, 1));
    scaled = scaled / deviation;
    center_ = center_ + mean * largest;
    deviation_ = deviation.masked_fill(constant, 0) * largest;
  }
  // Infinities keep their place, and 0·inf stays out of the strength's gradient.
  if (has_strength) {
    // Where even float64 would overflow or lose the product, the list is as sharp, or as linear, as
    // it gets.
    const Tensor largest = largest_magnitude(scaled);
    factor_ = (largest * alpha).clamp(1e-290, 1e290) / largest;
    others = at::where(at::isnan(alpha), kNan, others);
    scaled = scaled * factor_;
  }
  values_ = at::where(counted, scaled, others);
}

Tensor ScaledList::restored(const Tensor& points) const {
  if (!center_.defined()) return points;
  const Tensor finite = at::isfinite(points);
  Tensor restored = at::where(finite, points, 0);
  if (factor_.defined()) restored = restored / factor_;
  if (deviation_.defined()) restored = restored * deviation_;
  return at::where(finite, restored + center_, points);
}

}  // namespace rank_relax
