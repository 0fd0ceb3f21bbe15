#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/cdf/math.h"
#include "core/precision.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// A Scalar in a loop that fills vector registers: what it is given to has no branches and no
/// calls. A double of which only single precision is asked has exponentials, logarithms and
/// quotients of positive numbers to 1e-9 or better, in half the time.
template <class Scalar, Precision kPrecision = precision_of<Scalar>>
struct LaneOf {
  Scalar value;

  friend LaneOf operator-(LaneOf a) { return {-a.value}; }
  friend LaneOf operator+(LaneOf a, LaneOf b) { return {a.value + b.value}; }
  friend LaneOf operator-(LaneOf a, LaneOf b) { return {a.value - b.value}; }
  friend LaneOf operator*(LaneOf a, LaneOf b) { return {a.value * b.value}; }
  friend LaneOf operator/(LaneOf a, LaneOf b) { return {quotient(a.value, b.value)}; }
  friend LaneOf operator-(LaneOf a, double b) { return {a.value - rounded(b)}; }
  friend LaneOf operator-(double a, LaneOf b) { return {rounded(a) - b.value}; }
  friend LaneOf operator+(double a, LaneOf b) { return {rounded(a) + b.value}; }
  friend LaneOf operator*(double a, LaneOf b) { return {rounded(a) * b.value}; }
  friend LaneOf operator/(double a, LaneOf b) { return {quotient(rounded(a), b.value)}; }
  friend LaneOf operator*(LaneOf a, double b) { return {a.value * rounded(b)}; }
  friend LaneOf operator/(LaneOf a, double b) { return {a.value / rounded(b)}; }
  friend bool operator>(LaneOf a, double b) { return a.value > rounded(b); }
  friend bool operator<(LaneOf a, double b) { return a.value < rounded(b); }

 private:
  static Scalar rounded(double number) { return static_cast<Scalar>(number); }

  static Scalar quotient(Scalar a, Scalar b) {
    if constexpr (sizeof(Scalar) == 8 && kPrecision == kSingle) {
      return a * inverse(b);
    } else {
      return a / b;
    }
  }

  /// 1/b within 5e-11 for positive normal numbers: by their bits within 6 %, and three of Newton's
  /// steps, which together take a third of a division's time.
  static double inverse(double b) {
    uint64_t bits;
    std::memcpy(&bits, &b, sizeof bits);
    bits = 0x7fde600000000000 - bits;
    double inverse;
    std::memcpy(&inverse, &bits, sizeof bits);
    for (int step = 0; step < 3; ++step) inverse = inverse * (2 - b * inverse);
    return inverse;
  }
};

using Lane = LaneOf<double>;

}  // namespace rank_relax::cpu::RANK_RELAX_ISA

namespace rank_relax {

template <class Scalar, Precision kPrecision>
struct Math<cpu::RANK_RELAX_ISA::LaneOf<Scalar, kPrecision>> {
  using Lane = cpu::RANK_RELAX_ISA::LaneOf<Scalar, kPrecision>;

  static Lane constant(Lane, double value) { return {static_cast<Scalar>(value)}; }
  /// Of x <= 0; 0 where that is nothing beside any other number.
  static Lane exp(Lane x) {
    constexpr Scalar kFarthest = sizeof(Scalar) == 8 ? 700 : 86;
    const Scalar within = -x.value < kFarthest ? -x.value : kFarthest;
    const Scalar decay = cpu::RANK_RELAX_ISA::exponential_decay<kPrecision>(within);
    return {-x.value < kFarthest ? decay : 0};
  }
  static Lane erfc(Lane x) { return {std::erfc(x.value)}; }  // which does have branches
  static Lane clamp(Lane x, double lowest, double highest) {
    return {static_cast<Scalar>(Math<double>::clamp(x.value, lowest, highest))};
  }
  static Lane tanh_of_half(Lane x) {
    const double grown = cpu::RANK_RELAX_ISA::exponential_growth(std::abs(x.value));
    return {static_cast<Scalar>(std::copysign(grown / (2 - grown), x.value))};
  }
  static Lane log1p(Lane x) { return {std::log1p(x.value)}; }  // a call
  /// By the series of 2 artanh(x / (2 + x)).
  static Lane log1p_of_share(Lane x) {
    const Scalar s = (x / (2.0 + x)).value, square = s * s;
    constexpr int kTerms = kPrecision == kDouble ? 16 : 8;
    Scalar sum = Scalar(1) / (2 * kTerms + 1);
    for (int k = kTerms - 1; k >= 0; --k) sum = sum * square + Scalar(1) / (2 * k + 1);
    return {2 * s * sum};
  }
  static Lane size(Lane x) { return {std::abs(x.value)}; }
  static Lane sign(Lane x) {
    return {static_cast<Scalar>(Scalar(x.value > 0) - Scalar(x.value < 0))};
  }
  static Lane select(bool condition, Lane yes, Lane no) { return condition ? yes : no; }
  static Lane atan(Lane x) { return {static_cast<Scalar>(Math<double>::atan(x.value))}; }
  static Lane atan_of_inverse(Lane x) {
    return {static_cast<Scalar>(Math<double>::atan_of_inverse(x.value))};
  }
};

}  // namespace rank_relax
