#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/isa/instruction_set.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) over some finite values, one level
/// at a time: O(count) a step, whatever the values are. Borrows them.
///
/// G is taken apart at y, into whole items below and two tails,
///
///     G(y) = #{x_j < y} + #{x_j = y}/2 - lower(y) + upper(y)
///     lower = Σ_{x_j < y} F(-α (y - x_j)),    upper = Σ_{x_j > y} F(-α (x_j - y)),
///
/// so that nothing is lost beside the count. In a gap that is wide beside 1/α, G is flat at a whole
/// number to rounding; that level is where the two tails are equal, and there their logarithms are
/// compared, which fall steadily however wide the gap is.
template <class Cdf>
class QuantileSearch {
 public:
  QuantileSearch(const FiniteRow<double>& row, double regularization_strength)
      : values_(row.values),
        count_(row.count),
        strength_(regularization_strength),
        minimum_(row.minimum),
        maximum_(row.maximum) {
    const double half_spread = maximum_ / 2 - minimum_ / 2;
    balance_strength_ = half_spread > 0 ? std::min(strength_, 1e150 / half_spread) : strength_;
  }

  /// y with G(y) = level, 0 < level < count.
  double operator()(double level) const {
    const auto whole = static_cast<int64_t>(level);
    // The item at which the count passes the level, and with it where the search begins.
    std::vector<double> values(values_, values_ + count_);
    std::nth_element(values.begin(), values.begin() + whole, values.end());
    const double upper = values[whole];
    double first = upper;
    if (static_cast<double>(whole) == level) {
      const double lower = *std::max_element(values.begin(), values.begin() + whole);
      if (distance(lower, upper, strength_) > kWideGap && balance(lower, lower, upper).value <= 0 &&
          balance(upper, lower, upper).value >= 0) {
        return root([&](double y) { return balance(y, lower, upper); }, lower, upper,
                    lower / 2 + upper / 2);
      }
      first = lower / 2 + upper / 2;
    }
    return root([&](double y) { return excess(y, level); }, lower_bound(level), upper_bound(level),
                first);
  }

 private:
  struct Step {
    double value;
    double slope;  // in units of 1/α
  };

  /// α |a - b| where the difference may overflow.
  static double distance(double a, double b, double strength) {
    return 2 * (strength * std::abs(a / 2 - b / 2));
  }

  /// G is half the count at most below all values, and at least above them: so one bound is theirs,
  /// and the other is looked for from there.
  double lower_bound(double level) const {
    double bound = minimum_;
    if (level >= static_cast<double>(count_) / 2) return bound;
    for (double step = 1 / strength_; excess(bound, level).value > 0; step *= 2) {
      if (bound == -kHuge) break;  // as far as ln(2n)/α goes
      bound = std::max(bound - step, -kHuge);
    }
    return bound;
  }
  double upper_bound(double level) const {
    double bound = maximum_;
    if (level <= static_cast<double>(count_) / 2) return bound;
    for (double step = 1 / strength_; excess(bound, level).value < 0; step *= 2) {
      if (bound == kHuge) break;
      bound = std::min(bound + step, kHuge);
    }
    return bound;
  }

  /// G(y) - level.
  Step excess(double y, double level) const {
    double sides = 0, tails = 0, density = 0;
    for (int64_t begin = 0; begin < count_; begin += kChunk) {
      const int64_t count = std::min(kChunk, count_ - begin);
      const double* values = values_ + begin;
      double side[kChunk], d[kChunk], masses[kChunk], densities[kChunk];
      for (int64_t i = 0; i < count; ++i) {
        side[i] = static_cast<double>(values[i] > y) - static_cast<double>(values[i] < y);
        d[i] = distance(y, values[i], strength_);
      }
      Tails<Cdf>::of(d, count, masses, densities);
      for (int64_t i = 0; i < count; ++i) masses[i] *= side[i];
      sides += sum_of(side, count);
      tails += sum_of(masses, count);
      density += sum_of(densities, count);
    }
    const double whole = (static_cast<double>(count_) - sides) / 2;  // an item at y is half below
    return {(whole - level) + tails, density};
  }

  /// log upper(y) - log lower(y), for y between neighbours `lower` and `upper` of the row. Of each
  /// tail, the sum of exp(log F(-d) - log F(-d_nearest)) is at least 1.
  Step balance(double y, double lower, double upper) const {
    const double to_nearest[] = {distance(y, lower, balance_strength_),
                                 distance(y, upper, balance_strength_)};
    const double nearest[] = {Cdf::log_upper_tail(to_nearest[0]),
                              Cdf::log_upper_tail(to_nearest[1])};
    double sum[2] = {0, 0}, slope[2] = {0, 0};
    for (int64_t i = 0; i < count_; ++i) {
      const int side = values_[i] >= upper ? 1 : 0;
      const double d = distance(y, values_[i], balance_strength_);
      if (d > to_nearest[side] + kFarthest) continue;  // the tails fall by e^-d at least
      const double weight = std::exp(Cdf::log_upper_tail(d) - nearest[side]);
      sum[side] += weight;
      slope[side] += weight * Cdf::hazard(d);
    }
    const double per_strength = balance_strength_ / strength_;
    return {nearest[1] - nearest[0] + std::log(sum[1] / sum[0]),
            (slope[1] / sum[1] + slope[0] / sum[0]) * per_strength};
  }

  /// Newton's method from y on, while its steps halve and stay between the bounds, else bisection.
  template <class Function>
  double root(const Function& f, double lower, double upper, double y) const {
    constexpr int kMostSteps = 2200;  // halvings of all the range of a double
    double last = kInfinity;
    for (int i = 0; i < kMostSteps; ++i) {
      const Step step = f(y);
      if (step.value == 0) return y;
      (step.value > 0 ? upper : lower) = y;
      double next = y - step.value / step.slope / strength_;
      if (next == y) return y;
      const bool newton = lower < next && next < upper && std::abs(next - y) <= last / 2;
      if (!newton) next = lower / 2 + upper / 2;
      last = std::abs(next - y);
      // A step of Newton's method leaves about its square.
      const bool close =
          last <= kEpsilon * std::abs(next) || (newton && last * strength_ <= kClose);
      if (close || next == lower || next == upper) return next;
      y = next;
    }
    return y;
  }

  static constexpr int64_t kChunk = 512;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kHuge = std::numeric_limits<double>::max();
  static constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  // A level has 53 bits, so that what lies further than this adds nothing to its place among 2^32.
  static constexpr double kFarthest = 60;
  static constexpr double kClose = 4e-9;
  // In a narrower gap the tails' sum is steep enough for Newton's method from the middle on.
  static constexpr double kWideGap = 16;

  const double* values_;
  int64_t count_;
  double strength_, minimum_, maximum_;
  double balance_strength_;  // with which no logarithm of a tail overflows: its limit is the same
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
