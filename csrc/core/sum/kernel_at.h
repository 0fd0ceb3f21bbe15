#pragma once

#include <limits>

#include "core/cdf/math.h"
#include "core/cdf/upper_tail.h"
#include "core/host_device.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// The kernels of sums at points, each the derivative of the one before, to full relative precision
/// where they are small:
///
///     order -1:   max(d, 0) + ∫ F up to -|d|        order 0:   F(d)        order k:   F^(k)(d)
template <class Cdf, int kOrder, class Number>
RANK_RELAX_HOST_DEVICE Number kernel_at(const Number& d) {
  using M = Math<Number>;
  static_assert(kLowestOrder <= kOrder && kOrder < kSeriesOrders);
  const Number size = M::size(d);
  if constexpr (kOrder == -1) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return M::clamp(d, 0, kInfinity) + Cdf::integral_of_tail(size);
  } else if constexpr (kOrder == 0) {
    const Number tail = Cdf::upper_tail(size);
    return M::select(d < 0, tail, 1 - tail);
  } else if constexpr (kOrder == 1) {
    return Cdf::tail(size).density;
  } else {
    return M::sign(d) * Cdf::slope(size, Cdf::tail(size));
  }
}

}  // namespace rank_relax
