#pragma once

#include <cstdint>

#include "core/cdf/upper_tail.h"
#include "core/precision.h"
#include "core/sum/kernel_at.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/isa/lane.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// masses[i] = F(-d_i) and densities[i] = F'(d_i) for d >= 0. With all that it calls in it, or the
/// loop would not fill vector registers.
template <class Cdf, class Scalar>
[[gnu::flatten]] void tails(const Scalar* d, int64_t count, Scalar* masses, Scalar* densities) {
  for (int64_t i = 0; i < count; ++i) {
    const UpperTail<LaneOf<Scalar>> tail = Cdf::tail(LaneOf<Scalar>{d[i]});
    masses[i] = tail.mass.value;
    densities[i] = tail.density.value;
  }
}

/// slopes[i] = F''(d_i), from those.
template <class Cdf>
[[gnu::flatten]] void slopes_of_tails(const double* d, const double* masses,
                                      const double* densities, int64_t count, double* slopes) {
  for (int64_t i = 0; i < count; ++i) {
    slopes[i] = Cdf::slope(Lane{d[i]}, UpperTail<Lane>{{masses[i]}, {densities[i]}}).value;
  }
}

/// densities[i] = F'(d_i) for d >= 0, to what a precision shows.
template <class Cdf, Precision kPrecision>
[[gnu::flatten]] void densities_of(const double* d, int64_t count, double* densities) {
  using Lane = LaneOf<double, kPrecision>;
  for (int64_t i = 0; i < count; ++i) densities[i] = Cdf::tail(Lane{d[i]}).density.value;
}

/// kernels[i] = K(d_i) of an order.
template <class Cdf, int kOrder>
[[gnu::flatten]] void kernels_at(const double* d, int64_t count, double* kernels) {
  for (int64_t i = 0; i < count; ++i) kernels[i] = kernel_at<Cdf, kOrder>(Lane{d[i]}).value;
}

/// Σ values, added in an order that `count` alone decides.
inline double sum_of(const double* values, int64_t count) {
  constexpr int64_t kLanes = 16;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane];
  }
  for (int64_t lane = 0; i + lane < count; ++lane) lanes[lane] += values[i + lane];
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
