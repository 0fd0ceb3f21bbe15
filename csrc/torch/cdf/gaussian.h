#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/special_ndtr.h>
#include <ATen/ops/zeros_like.h>

#include <limits>
#include <utility>

#include "core/cdf/gaussian.h"
#include "torch/cdf/of_tensor.h"

namespace rank_relax {

template <>
struct OfTensor<Gaussian> {
  using Tensor = at::Tensor;

  static Tensor cdf(const Tensor& d) { return at::special_ndtr(d); }
  static Tensor centered(const Tensor& d) { return at::erf(d * kInverseSqrt2) / 2; }
  static Tensor density(const Tensor& d) {
    const Tensor root = d * kInverseSqrt2;
    return at::exp(-root * root) * kInverseSqrt2Pi;
  }

  /// (-1)^(order-1) He_{order-1}(d) φ(d), as in core/cdf/gaussian.h.
  static Tensor derivative(const Tensor& d, int order) {
    const Tensor near = d.clamp(-kNoDensity, kNoDensity);
    Tensor previous = at::zeros_like(d), hermite = at::ones_like(d);
    for (int k = 0; k < order - 1; ++k) {
      previous = std::exchange(hermite, near * hermite - k * previous);
    }
    return order % 2 == 1 ? hermite * density(d) : -hermite * density(d);
  }

  /// (nearest² - d²)/2, where the item nearest to 0 has the largest.
  static Tensor log_density(const Tensor& d, const Tensor& items) {
    if (d.sym_size(-1) == 0) return d;  // there is no nearest item
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Tensor nearest =
        d.detach().abs().masked_fill(items.logical_not(), kInfinity).amin(-1, /*keepdim=*/true);
    const Tensor finite_nearest = nearest.masked_fill(at::isfinite(nearest).logical_not(), 0);
    return (d - finite_nearest) * (d + finite_nearest) / -2;
  }

 private:
  static constexpr double kInverseSqrt2 = 0.70710678118654752440;
  static constexpr double kInverseSqrt2Pi = 0.39894228040143267794;
  static constexpr double kNoDensity = 40;  // beyond, where He may not overflow either
};

}  // namespace rank_relax
