#pragma once

#include <cmath>

#include "core/cdf/arctangent.h"
#include "core/host_device.h"

namespace rank_relax {

/// The elementary functions that CDFs are written in, of one kind of number: a CDF has one formula,
/// which is its value at a double, a float on a GPU, a double in a loop that fills vector
/// registers, and a tensor. Besides, a kind of number has + - * / with its own and with doubles,
/// and comparisons that `select` takes. A kind needs the functions of the formulas that are asked
/// of it.
template <class Number>
struct Math;

template <>
struct Math<double> {
  RANK_RELAX_HOST_DEVICE static double constant(double, double value) { return value; }
  RANK_RELAX_HOST_DEVICE static double select(bool condition, double yes, double no) {
    return condition ? yes : no;
  }
  /// |x|; of a kind of number that is differentiated, with derivative 1 at 0: so an even smooth
  /// function, written as one of |x|, has its derivatives there.
  RANK_RELAX_HOST_DEVICE static double size(double x) { return std::abs(x); }
  /// |x|, with derivative 0 at 0: so an even function with a kink there has the mean of both sides.
  RANK_RELAX_HOST_DEVICE static double absolute(double x) { return std::abs(x); }
  RANK_RELAX_HOST_DEVICE static double clamp(double x, double lowest, double highest) {
    return x < lowest ? lowest : (x > highest ? highest : x);
  }
  RANK_RELAX_HOST_DEVICE static double sign(double x) { return x > 0 ? 1 : (x < 0 ? -1 : 0); }
  RANK_RELAX_HOST_DEVICE static double exp(double x) { return std::exp(x); }
  RANK_RELAX_HOST_DEVICE static double expm1(double x) { return std::expm1(x); }
  RANK_RELAX_HOST_DEVICE static double log1p(double x) { return std::log1p(x); }
  /// log1p of x in [0, 1].
  RANK_RELAX_HOST_DEVICE static double log1p_of_share(double x) { return std::log1p(x); }
  RANK_RELAX_HOST_DEVICE static double erf(double x) { return std::erf(x); }
  RANK_RELAX_HOST_DEVICE static double erfc(double x) { return std::erfc(x); }
  RANK_RELAX_HOST_DEVICE static double atan(double x) {
    return std::copysign(arctangent(std::abs(x)), x);
  }

  /// arctan(1/x), and its limit at 0, for x >= 0: to full relative precision however large x is.
  RANK_RELAX_HOST_DEVICE static double atan_of_inverse(double x) {
    constexpr double kHalfPi = 1.57079632679489661923;
    const double is_far = static_cast<double>(x > 1), inverse = 1 / (x > 1 ? x : 1);
    const double angle = arctangent(x > 1 ? inverse : x);
    return kHalfPi * (1 - is_far) + angle * (2 * is_far - 1);
  }

  /// tanh(x/2), to full relative precision however small x is.
  RANK_RELAX_HOST_DEVICE static double tanh_of_half(double x) {
    const double grown = std::expm1(-std::abs(x));  // in [-1, 0]
    return std::copysign(grown / (2 + grown), x);
  }
};

}  // namespace rank_relax
