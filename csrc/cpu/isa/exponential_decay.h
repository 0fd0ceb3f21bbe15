#pragma once

#include <cstdint>
#include <cstring>

#include "core/precision.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// e^-t for t in [-0.1, 700], within 1 ulp, or of single precision within 3e-10. Free of branches,
/// so that loops over it fill vector registers, which std::exp does not, nor a call.
///
/// t = m ln 2 - r with |r| <= ln(2)/2: e^-t = 2^-m e^r, and e^r by its Taylor series.
template <Precision kPrecision = kDouble>
[[gnu::always_inline]] inline double exponential_decay(double t) {
  constexpr double kInverseLog2 = 1.44269504088896338700;
  constexpr double kLog2High = 6.93147180369123816490e-01;  // its last 20 bits are 0
  constexpr double kLog2Low = 1.90821492927058770002e-10;
  constexpr double kRound = 6755399441055744.0;  // 1.5 · 2^52: adding it rounds to an integer
  const double shifted = t * -kInverseLog2 + kRound;
  const double exponent = shifted - kRound;
  const double r = (-t - exponent * kLog2High) - exponent * kLog2Low;
  double power = 1.0 / 40320;
  if constexpr (kPrecision == kDouble) {
    power = 1.0 / 6227020800;
    power = power * r + 1.0 / 479001600;
    power = power * r + 1.0 / 39916800;
    power = power * r + 1.0 / 3628800;
    power = power * r + 1.0 / 362880;
    power = power * r + 1.0 / 40320;
  }
  power = power * r + 1.0 / 5040;
  power = power * r + 1.0 / 720;
  power = power * r + 1.0 / 120;
  power = power * r + 1.0 / 24;
  power = power * r + 1.0 / 6;
  power = power * r + 0.5;
  power = power * r * r + r + 1;
  uint64_t bits, scale;
  std::memcpy(&bits, &power, sizeof bits);
  std::memcpy(&scale, &shifted, sizeof scale);
  bits += scale << 52;  // the integer's low bits, added to the exponent
  std::memcpy(&power, &bits, sizeof bits);
  return power;
}

/// The same in float, for t in [-0.1, 87].
template <Precision = kSingle>
[[gnu::always_inline]] inline float exponential_decay(float t) {
  constexpr float kInverseLog2 = 1.44269504f;
  constexpr float kLog2High = 0.693359375f;  // its last 15 bits are 0
  constexpr float kLog2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23
  const float shifted = t * -kInverseLog2 + kRound;
  const float exponent = shifted - kRound;
  const float r = (-t - exponent * kLog2High) - exponent * kLog2Low;
  float power = 1.0f / 5040;
  power = power * r + 1.0f / 720;
  power = power * r + 1.0f / 120;
  power = power * r + 1.0f / 24;
  power = power * r + 1.0f / 6;
  power = power * r + 0.5f;
  power = power * r * r + r + 1;
  uint32_t bits, scale;
  std::memcpy(&bits, &power, sizeof bits);
  std::memcpy(&scale, &shifted, sizeof scale);
  bits += scale << 23;
  std::memcpy(&power, &bits, sizeof bits);
  return power;
}

// Distances from here on count as infinite where items are summed beside one that is near: all the
// items that a row may have weigh less there than 1e-13 of that.
constexpr double kNegligibleFrom = 52;
constexpr double kNegligible = 2.6e-23;  // e^-kNegligibleFrom

/// values[i] = e^-values[i], of inf too, and 0 where that is negligible, in loops that a compiler
/// vectorises.
inline void decay_all(double* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] = values[i] < kNegligibleFrom + 1 ? values[i] : kNegligibleFrom + 1;
  }
  for (int64_t i = 0; i < count; ++i) values[i] = exponential_decay(values[i]);
  for (int64_t i = 0; i < count; ++i) values[i] = values[i] > kNegligible ? values[i] : 0;
}

/// 1 - e^-t for t >= 0, within 2 ulp however small t is, in the same way: near 0 by its Taylor
/// series.
inline double exponential_growth(double t) {
  constexpr double kFarthest = 50, kNear = 0.35;
  const double within = t < kFarthest ? t : kFarthest;
  const double near = within < kNear ? within : kNear;
  double series = 1 - near / 13;
  for (int k = 12; k >= 2; --k) series = 1 - near / k * series;
  return within < kNear ? near * series : 1 - exponential_decay(within);
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
