#pragma once

#include <cmath>
#include <limits>

#include "core/cdf/capabilities.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// What values at infinity, and all others, weigh: what they add to a sum of kernels at finite
/// points, and what such a sum is at infinity, where what is equal has d = 0.
template <class Cdf>
struct WeightsAtInfinity {
  int order;
  double below = 0, finite = 0, above = 0;

  void add(double value, double weight) {
    if (std::isfinite(value)) finite += weight;
    if (value == -kInfinity) below += weight;
    if (value == kInfinity) above += weight;
  }

  double at(double point) const {
    if (std::isnan(point)) return point;
    if (order > 0) return 0;
    if (point == -kInfinity) return below * kernel_of_equals();
    if (point == kInfinity) return of_far_below(below + finite) + above * kernel_of_equals();
    return of_far_below(below);
  }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  double kernel_of_equals() const {
    if constexpr (kHasIntegral<Cdf>) {
      if (order == -1) return Cdf::integral_of_tail(0.0);
    }
    return 0.5;
  }
  double of_far_below(double weight) const {
    return order == 0 || weight == 0 ? weight : weight * kInfinity;
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
