#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "core/cdf/upper_tail.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/sum/exponential_decay.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// masses[i] = F(-d_i) and densities[i] = F'(d_i) for d >= 0. A CDF may have a way that fills
/// vector registers.
template <class Cdf>
struct Tails {
  static void of(const double* d, int64_t count, double* masses, double* densities) {
    for (int64_t i = 0; i < count; ++i) {
      const UpperTail tail = Cdf::tail(d[i]);
      masses[i] = tail.mass;
      densities[i] = tail.density;
    }
  }
};

/// 0 where that is nothing beside any other number.
template <>
struct Tails<Sigmoid> {
  static void of(const double* d, int64_t count, double* masses, double* densities) {
    constexpr double kFarthest = 700;
    for (int64_t i = 0; i < count; ++i) {
      masses[i] = exponential_decay(d[i] < kFarthest ? d[i] : kFarthest);
    }
    for (int64_t i = 0; i < count; ++i) {
      const double decay = d[i] < kFarthest ? masses[i] : 0, share = 1 / (1 + decay);
      masses[i] = decay * share;
      densities[i] = decay * share * share;
    }
  }
};

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
