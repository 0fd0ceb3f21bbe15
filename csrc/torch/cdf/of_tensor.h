#pragma once

#include <ATen/ops/isfinite.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "torch/cdf/math.h"

namespace rank_relax {

/// A CDF as functions of a tensor of differences d, differentiable by autograd, for devices without
/// kernels and for masks.
template <class OfNumbers>
struct OfTensor {
  using Cdf = OfNumbers;
  using Tensor = at::Tensor;

  static constexpr bool kFalls = kFallsExponentially<Cdf>;
  static double farthest(Precision precision) { return Cdf::farthest[precision]; }

  /// F, to full relative precision.
  static Tensor cdf(const Tensor& d) {
    if constexpr (kHasKink<Cdf>) {  // where the derivatives are the mean of both sides
      const Tensor zero = at::zeros_like(d);
      return Cdf::upper_tail(-at::minimum(d, zero)) + (0.5 - Cdf::upper_tail(at::maximum(d, zero)));
    }
    const Tensor tail = Cdf::upper_tail(Math<Tensor>::size(d));
    return Math<Tensor>::select(d < 0, tail, 1 - tail);
  }
  /// F - 1/2, to full relative precision.
  static Tensor centered(const Tensor& d) { return Cdf::centered(Cdf::coordinate(d)); }
  /// F'
  static Tensor density(const Tensor& d) { return Cdf::density(d); }
  /// F^(order), order >= 1.
  static Tensor derivative(const Tensor& d, int order) {
    if (order == 1) return density(d);
    return typename Cdf::Ratio(order)(Cdf::coordinate(d)) * density(d);
  }

  /// log F' less anything that is the same for all d of a list, such that the largest among `items`
  /// keeps its precision however far away they are.
  static Tensor log_density(const Tensor& d, const Tensor& items) {
    if (d.sym_size(-1) == 0) return d;  // there is no nearest item
    return Cdf::log_density(d, [&] {
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      const Tensor nearest =
          d.detach().abs().masked_fill(items.logical_not(), kInfinity).amin(-1, /*keepdim=*/true);
      return nearest.masked_fill(at::isfinite(nearest).logical_not(), 0);
    });
  }
};

}  // namespace rank_relax
