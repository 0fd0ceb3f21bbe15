#pragma once

// Included before a test that is compiled with core/cdf/smooth_cdfs.h of this folder: what it
// compares the added CDF with.

#include <cmath>

#include "../plain_cdf.h"

namespace rank_relax {
struct HyperbolicSecant;
}  // namespace rank_relax

template <>
struct PlainCdf<rank_relax::HyperbolicSecant> {
  static constexpr long double kPi = 3.141592653589793238462643383279503L;

  static PlainKernels at(long double d) {
    const long double density = 1 / std::cosh(d) / kPi;
    return {2 / kPi * std::atan(std::tanh(d / 2)), density, -density * std::tanh(d)};
  }
  static long double tail(long double d) { return 2 / kPi * std::atan(std::exp(-d)); }
  static long double log_tail(long double d) {
    const long double u = std::exp(-d);
    return std::log(2 / kPi * (u < 1e-12L ? 1 : std::atan(u) / u)) - d;
  }
};
