#pragma once

#include <cmath>

#include "core/cdf/smooth_cdfs.h"
#include "cuda/row/row_plan.cuh"

namespace rank_relax::cuda {

/// K of one pair, in double: F - 1/2, F', F'', or a higher derivative. `values` are in the plan's
/// unit.
template <class Cdf>
__device__ double kernel_of_pair(int order, const RowPlan& plan, double value, double other,
                                 const typename Cdf::Derivative* higher) {
  const double q = Cdf::coordinate(plan.strength * (value - other) * plan.unit);
  if (order == 0) return Cdf::centered(q);
  if (order == 1) return Cdf::first_derivative(q);
  return order == 2 ? Cdf::second_derivative(q) : (*higher)(q);
}

/// In float, for pairs of a sorted row: of order 0 the tail F(-|d|), to nearly full relative
/// precision, of which a sum over many that are equal keeps as much; of orders 1 and 2 K(d), within
/// 1.5e-7. A CDF may have a faster way than that in double.
template <class Cdf>
struct KernelInFloat {
  template <int kOrder>
  static __device__ float at(float d) {
    if constexpr (kOrder == 0) return static_cast<float>(Cdf::upper_tail(fabs(double{d})));
    const double q = Cdf::coordinate(d);
    if constexpr (kOrder == 1) return static_cast<float>(Cdf::first_derivative(q));
    if constexpr (kOrder == 2) return static_cast<float>(Cdf::second_derivative(q));
  }
};

/// With e = e^-|d|, one exponential and one division:
/// F(-|d|) = e/(1 + e), F' = e/(1 + e)², F'' = ∓e (1 - e)/(1 + e)³.
template <>
struct KernelInFloat<Sigmoid> {
  template <int kOrder>
  static __device__ float at(float d) {
    const float e = __expf(-fabsf(d));
    if constexpr (kOrder == 0) return __fdividef(e, 1 + e);
    const float inverse = __fdividef(1, 1 + e);
    const float first = e * inverse * inverse;
    return kOrder == 1 ? first : copysignf(first * (1 - e) * inverse, -d);
  }
};

/// F(-|d|) = erfc(|d|/√2)/2, F' = φ(d), F'' = -d φ(d).
template <>
struct KernelInFloat<Gaussian> {
  template <int kOrder>
  static __device__ float at(float d) {
    if constexpr (kOrder == 0) return 0.5f * erfcf(0.707106781f * fabsf(d));
    const float density = 0.398942280f * __expf(-0.5f * d * d);
    return kOrder == 1 ? density : (density == 0 ? 0 : -d * density);
  }
};

}  // namespace rank_relax::cuda
