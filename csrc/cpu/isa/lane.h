#pragma once

#include <cmath>

#include "core/cdf/math.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// A double in a loop that fills vector registers: what it is given to has no branches and no
/// calls.
struct Lane {
  double value;

  friend Lane operator-(Lane a) { return {-a.value}; }
  friend Lane operator+(Lane a, Lane b) { return {a.value + b.value}; }
  friend Lane operator-(Lane a, Lane b) { return {a.value - b.value}; }
  friend Lane operator*(Lane a, Lane b) { return {a.value * b.value}; }
  friend Lane operator/(Lane a, Lane b) { return {a.value / b.value}; }
  friend Lane operator-(Lane a, double b) { return {a.value - b}; }
  friend Lane operator+(double a, Lane b) { return {a + b.value}; }
  friend Lane operator*(double a, Lane b) { return {a * b.value}; }
  friend Lane operator/(double a, Lane b) { return {a / b.value}; }
  friend Lane operator*(Lane a, double b) { return {a.value * b}; }
  friend Lane operator/(Lane a, double b) { return {a.value / b}; }
  friend bool operator>(Lane a, double b) { return a.value > b; }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA

namespace rank_relax {

template <>
struct Math<cpu::RANK_RELAX_ISA::Lane> {
  using Lane = cpu::RANK_RELAX_ISA::Lane;

  /// Of x <= 0; 0 where that is nothing beside any other number.
  static Lane exp(Lane x) {
    constexpr double kFarthest = 700;
    const double within = -x.value < kFarthest ? -x.value : kFarthest;
    const double decay = cpu::RANK_RELAX_ISA::exponential_decay(within);
    return {-x.value < kFarthest ? decay : 0};
  }
  static Lane erfc(Lane x) { return {std::erfc(x.value)}; }  // which does have branches
  static Lane clamp(Lane x, double lowest, double highest) {
    return {Math<double>::clamp(x.value, lowest, highest)};
  }
  static Lane tanh_of_half(Lane x) {
    const double grown = cpu::RANK_RELAX_ISA::exponential_growth(std::abs(x.value));
    return {std::copysign(grown / (2 - grown), x.value)};
  }
  static Lane select(bool condition, Lane yes, Lane no) { return condition ? yes : no; }
  static Lane atan(Lane x) { return {Math<double>::atan(x.value)}; }
  static Lane atan_of_inverse(Lane x) { return {Math<double>::atan_of_inverse(x.value)}; }
};

}  // namespace rank_relax
