#pragma once

#include "core/host_device.h"
#include "core/number.h"

namespace rank_relax {

constexpr double kLinearSpread = 1.0 / (1 << 30);
constexpr double kLargestStrength = 1e307;  // for a spread so small that the quotient overflows

/// The strength at which to rank the finite values of a row for a correlation.
///
/// F - 1/2 is linear to rounding (the next term is below spread²/12) once a row's scaled spread
/// is under 2^-30, and a correlation does not change when one side is scaled. So below that the
/// strength may be raised to 2^-30 / spread: the same correlation and the same gradient, but
/// nothing underflows, and gradients with respect to ranks stay in float32's range.
///
/// The ranks of a method that isn't odd about a row's middle have a next term of spread/2, and a
/// `linear_spread` of their own.
RANK_RELAX_HOST_DEVICE inline double correlation_strength(double regularization_strength,
                                                          double spread, double linear_spread) {
  if (!(spread > 0)) return regularization_strength;
  double wanted = linear_spread / spread;
  if (wanted > kLargestStrength) wanted = kLargestStrength;
  return regularization_strength < wanted ? wanted : regularization_strength;
}

/// 1 - ρ for two vectors a and b that sum to zero, ρ = <a, b> / (|a| |b|), and its gradients. With
/// â = a/|a|, b̂ = b/|b| and δ = b̂ - â,
///
///     loss = |δ|²/2,   ∂loss/∂a = -(δ + loss · â)/|a|,   ∂loss/∂b = (δ - loss · b̂)/|b|,
///
/// in which nothing cancels as ρ → 1. Nor in δ = (b - a)/|b| + a (1/|b| - 1/|a|), which is 0 for
/// b = a however products are rounded, and stands where a and b have about the same length. Where
/// they have not, b would be lost beside a, and δ is taken as it reads. If a or b is zero: loss 1,
/// gradients 0, which the callers see to.
///
/// A number is a double, a register of them or a tensor.
template <class Number>
struct UnitVectors {
  Number per_a, per_b;  // 1/|a| and 1/|b|
  Number shared, turn;  // δ = (b - shared · a)/|b| + turn · a

  RANK_RELAX_HOST_DEVICE static UnitVectors of(const Number& per_a, const Number& per_b) {
    const Number alike((per_a <= 2 * per_b) & (per_b <= 2 * per_a));  // 1 or 0
    return {per_a, per_b, alike, alike * per_b - per_a};
  }

  /// δ at an item. Always inlined: the registers of an instruction set are no arguments of a
  /// function that is compiled for another (cpu/isa/shared_headers.h).
  [[gnu::always_inline]] RANK_RELAX_HOST_DEVICE Number difference(const Number& a,
                                                                  const Number& b) const {
    return sum_of_products(b - shared * a, per_b, turn, a);
  }

  /// ∂loss/∂a and ∂loss/∂b at an item.
  RANK_RELAX_HOST_DEVICE Number gradient_a(const Number& a, const Number& delta,
                                           const Number& loss) const {
    return scaled_gradient_a(a * per_a, delta, loss) * per_a;
  }
  RANK_RELAX_HOST_DEVICE Number gradient_b(const Number& b, const Number& delta,
                                           const Number& loss) const {
    return scaled_gradient_b(b * per_b, delta, loss) * per_b;
  }

  /// |a| ∂loss/∂a and |b| ∂loss/∂b, from â and b̂.
  RANK_RELAX_HOST_DEVICE static Number scaled_gradient_a(const Number& unit_a, const Number& delta,
                                                         const Number& loss) {
    return -(delta + loss * unit_a);
  }
  RANK_RELAX_HOST_DEVICE static Number scaled_gradient_b(const Number& unit_b, const Number& delta,
                                                         const Number& loss) {
    return delta - loss * unit_b;
  }
};

/// The loss from |δ|², not above its largest value by rounding.
RANK_RELAX_HOST_DEVICE inline double correlation_loss(double square_of_difference) {
  return square_of_difference / 2 > 2 ? 2 : square_of_difference / 2;
}

}  // namespace rank_relax
