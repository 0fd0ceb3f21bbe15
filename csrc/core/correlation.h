#pragma once

#include "core/host_device.h"

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
                                                          double spread,
                                                          double linear_spread = kLinearSpread) {
  if (!(spread > 0)) return regularization_strength;
  double wanted = linear_spread / spread;
  if (wanted > kLargestStrength) wanted = kLargestStrength;
  return regularization_strength < wanted ? wanted : regularization_strength;
}

/// The difference of two unit vectors, b/|b| - a/|a|, item by item, given 1/|a| and 1/|b|. Where a
/// and b have about the same length nothing cancels as they become equal; where they have not, b
/// is not lost beside a.
struct UnitDifference {
  double per_b, shared, turn;

  RANK_RELAX_HOST_DEVICE UnitDifference(double per_a, double per_b) : per_b(per_b) {
    const bool alike = per_a <= 2 * per_b && per_b <= 2 * per_a;
    shared = alike ? 1 : 0;
    turn = alike ? per_b - per_a : -per_a;
  }

  RANK_RELAX_HOST_DEVICE double operator()(double a, double b) const {
    return (b - shared * a) * per_b + turn * a;
  }
};

}  // namespace rank_relax
