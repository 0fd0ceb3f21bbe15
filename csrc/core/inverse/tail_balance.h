#pragma once

#include <cmath>

#include "core/host_device.h"
#include "core/inverse/root_search.h"

namespace rank_relax {

/// How much heavier the tail of the items above y is than that of the items below,
///
///     log Σ_{x_j > y} F(-α (x_j - y)) - log Σ_{x_j < y} F(-α (y - x_j)).
///
/// In a gap that is wide beside 1/α, the smoothed count is flat at a whole number to rounding; that
/// level is where the two tails are equal, and their logarithms fall steadily however wide the gap
/// is. Of each tail, the sum of the weights exp(log F(-d) - log F(-d_nearest)) is at least 1.
///
/// Whoever searches adds the items; threads that share them, the sums.
template <class Cdf>
struct TailBalance {
  static constexpr int kBelow = 0, kAbove = 1;

  double distance[2];  // of the nearest item on each side, times α
  double log_tail[2];  // of that item
  double weights[2] = {0, 0}, slopes[2] = {0, 0};

  RANK_RELAX_HOST_DEVICE TailBalance(double below, double above)
      : distance{below, above}, log_tail{Cdf::log_upper_tail(below), Cdf::log_upper_tail(above)} {}

  /// An item, at a distance d in units of 1/α.
  RANK_RELAX_HOST_DEVICE void add(int side, double d) {
    if (d > distance[side] + kFarthest) return;  // the tails fall by e^-d at least
    const double weight = std::exp(Cdf::log_upper_tail(d) - log_tail[side]);
    weights[side] += weight;
    slopes[side] += weight * Cdf::hazard(d);
  }

  RANK_RELAX_HOST_DEVICE RootSearch::Step log_ratio() const {
    return {log_tail[kAbove] - log_tail[kBelow] + std::log(weights[kAbove] / weights[kBelow]),
            slopes[kAbove] / weights[kAbove] + slopes[kBelow] / weights[kBelow]};
  }

 private:
  // A level has 53 bits, so that what lies further than this adds nothing to its place among 2^32.
  static constexpr double kFarthest = 60;
};

}  // namespace rank_relax
