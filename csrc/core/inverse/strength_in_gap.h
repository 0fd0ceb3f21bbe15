#pragma once

#include "core/cdf/capabilities.h"
#include "core/host_device.h"

namespace rank_relax {

/// α for the point of a whole level between two neighbours. Where tails fall as 1/d, that point is
/// the same for every α in a gap that is very wide, and with this one the gap's width in units of
/// 1/α does not overflow.
template <class Cdf>
RANK_RELAX_HOST_DEVICE double strength_in_gap(double strength, double lower, double upper) {
  if constexpr (kFallsExponentially<Cdf>) return strength;
  constexpr double kWidest = 1e100;
  const double half_gap = upper / 2 - lower / 2;
  return strength * half_gap > kWidest ? kWidest / half_gap : strength;
}

}  // namespace rank_relax
