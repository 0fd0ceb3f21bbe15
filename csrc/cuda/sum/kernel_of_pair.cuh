#pragma once

#include <cmath>

#include "core/cdf/smooth_cdfs.h"
#include "cuda/row/row_plan.cuh"
#include "cuda/sum/fast_float.cuh"

namespace rank_relax::cuda {

/// K of one pair, in double: F - 1/2, F', F'', or a higher derivative. `values` are in the plan's
/// unit.
template <class Cdf>
__device__ double kernel_of_pair(int order, const RowPlan& plan, double value, double other,
                                 const typename Cdf::Ratio* higher) {
  const double q = Cdf::coordinate(plan.strength * (value - other) * plan.unit);
  if (order == 0) return Cdf::centered(q);
  if (order == 1) return Cdf::first_derivative(q);
  if (order == 2) return Cdf::second_derivative(q);
  return (*higher)(q)*Cdf::first_derivative(q);
}

/// In float, where its range is enough: of order 0 the tail F(-|d|), to nearly full relative
/// precision, of which a sum over many that are equal keeps as much; of orders 1 and 2 K(d), within
/// 1.5e-7.
template <class Cdf, int kOrder>
__device__ float fast_kernel_of_pair(float d) {
  const FastFloat distance = std::fabs(d);
  if constexpr (kOrder == 0) {
    return Cdf::upper_tail(distance).value;
  } else {
    const UpperTail<FastFloat> tail = Cdf::tail(distance);
    if constexpr (kOrder == 1) return tail.density.value;
    const float slope = Cdf::slope(distance, tail).value;
    return d < 0 ? -slope : slope;
  }
}

}  // namespace rank_relax::cuda
