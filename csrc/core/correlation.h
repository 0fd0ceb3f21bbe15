#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/lane_sum.h"

namespace rank_relax {

constexpr double kLinearSpread = 1.0 / (1 << 30);
constexpr double kLargestStrength = 1e307;  // for a spread so small that the quotient overflows

/// The strength at which to rank the finite values of a row for a correlation.
///
/// F - 1/2 is linear to rounding (the next term is below spread²/12) once a row's scaled spread
/// is under 2^-30, and a correlation does not change when one side is scaled. So below that the
/// strength may be raised to 2^-30 / spread: the same correlation and the same gradient, but
/// nothing underflows, and gradients with respect to ranks stay in float32's range.
inline double correlation_strength(double regularization_strength, double spread) {
  if (!(spread > 0)) return regularization_strength;
  return std::max(regularization_strength, std::min(kLinearSpread / spread, kLargestStrength));
}

/// 1 - ρ for two vectors a and b that sum to zero, ρ = <a, b> / (|a| |b|), and in their place its
/// gradients. With â = a/|a|, b̂ = b/|b| and δ = b̂ - â,
///
///     loss = |δ|²/2,   ∂loss/∂a = -(δ + loss · â)/|a|,   ∂loss/∂b = (δ - loss · b̂)/|b|,
///
/// in which nothing cancels as ρ → 1. If a or b is zero: loss 1, gradients 0.
inline double correlation_loss(double* a, double* b, int64_t count) {
  const double norm_a = std::sqrt(lane_sum(count, [=](int64_t i) { return a[i] * a[i]; }));
  const double norm_b = std::sqrt(lane_sum(count, [=](int64_t i) { return b[i] * b[i]; }));
  if (norm_a == 0 || norm_b == 0) {
    std::fill_n(a, count, 0.0);
    std::fill_n(b, count, 0.0);
    return 1;
  }
  const auto difference = [=](int64_t i) { return b[i] / norm_b - a[i] / norm_a; };
  const double square = lane_sum(count, [=](int64_t i) { return difference(i) * difference(i); });
  const double loss = std::min(square / 2, 2.0);
  for (int64_t i = 0; i < count; ++i) {
    const double delta = difference(i);
    a[i] = -(delta + loss * (a[i] / norm_a)) / norm_a;
    b[i] = (delta - loss * (b[i] / norm_b)) / norm_b;
  }
  return loss;
}

}  // namespace rank_relax
