#pragma once

#include <cmath>

namespace rank_relax {
struct Sigmoid;
struct Gaussian;
struct Laplace;
struct Cauchy;
}  // namespace rank_relax

/// F - 1/2, F' and F''.
struct PlainKernels {
  long double centered, first, second;
};

/// A CDF by the plainest formulas, in long double, for comparison: at(d); tail(d) = F(-d) for
/// d >= 0, to full relative precision, and log_tail(d) its logarithm. Each CDF needs its own.
template <class Cdf>
struct PlainCdf;

template <>
struct PlainCdf<rank_relax::Sigmoid> {
  static PlainKernels at(long double d) {
    const long double decay = std::exp(-std::abs(d)), inverse = 1 / (1 + decay);
    const long double centered = std::copysign(-std::expm1(-std::abs(d)) * inverse / 2, d);
    const long double first = decay * inverse * inverse;
    return {centered, first, -2 * centered * first};
  }
  static long double tail(long double d) { return std::exp(-d) / (1 + std::exp(-d)); }
  static long double log_tail(long double d) { return -d - std::log1p(std::exp(-d)); }
};

template <>
struct PlainCdf<rank_relax::Gaussian> {
  static PlainKernels at(long double d) {
    const long double first = std::exp(-d * d / 2) / 2.506628274631000502415765284811045L;
    return {std::erf(d / kRoot2) / 2, first, -d * first};
  }
  static long double tail(long double d) { return std::erfc(d / kRoot2) / 2; }
  static long double log_tail(long double d) {
    if (d < 100) return std::log(tail(d));
    const long double q = 1 / (d * d), log_root_2_pi = 0.918938533204672741780329736406L;
    return -d * d / 2 - std::log(d) - log_root_2_pi + std::log1p(-q * (1 - 3 * q * (1 - 5 * q)));
  }

 private:
  static constexpr long double kRoot2 = 1.414213562373095048801688724209698L;
};

template <>
struct PlainCdf<rank_relax::Laplace> {
  static PlainKernels at(long double d) {
    const long double first = std::exp(-std::abs(d)) / 2;
    const long double sign = d > 0 ? 1 : (d < 0 ? -1 : 0);
    return {-sign * std::expm1(-std::abs(d)) / 2, first, -sign * first};
  }
  static long double tail(long double d) { return std::exp(-d) / 2; }
  static long double log_tail(long double d) { return -d - std::log(2.0L); }
};

template <>
struct PlainCdf<rank_relax::Cauchy> {
  static PlainKernels at(long double d) {
    const long double first = 1 / (kPi * (1 + d * d));
    return {std::atan(d) / kPi, first, -2 * d / (1 + d * d) * first};
  }
  static long double tail(long double d) { return std::atan2(1.0L, d) / kPi; }
  static long double log_tail(long double d) { return std::log(tail(d)); }

 private:
  static constexpr long double kPi = 3.141592653589793238462643383279503L;
};
