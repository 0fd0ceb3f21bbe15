#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/inverse/root_search.h"
#include "core/inverse/strength_in_gap.h"
#include "core/inverse/tail_balance.h"
#include "core/row/scaled_difference.h"
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
/// number to rounding, and the tails' logarithms are compared (core/inverse/tail_balance.h).
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

  /// Σ_j F'(α (y - x_j))
  double density_at(double y) const { return excess(y, 0).slope; }

  /// y with G(y) = level, 0 < level < count.
  double operator()(double level) const {
    const auto whole = static_cast<int64_t>(level);
    // The item at which the count passes the level, and with it where the search begins.
    std::vector<double> values(values_, values_ + count_);
    std::nth_element(values.begin(), values.begin() + whole, values.end());
    const double upper = values[whole];
    if (static_cast<double>(whole) != level) {
      return root_of_excess(level, lower_bound(level), upper);
    }
    const double lower = *std::max_element(values.begin(), values.begin() + whole);
    if constexpr (kFallsExponentially<Cdf>) {
      if (distance(lower, upper, strength_) > kWideGap && balance(lower, lower, upper).value <= 0 &&
          balance(upper, lower, upper).value >= 0) {
        return root([&](double y) { return balance(y, lower, upper); }, lower, upper,
                    lower / 2 + upper / 2);
      }
    }
    QuantileSearch search = *this;
    search.strength_ = strength_in_gap<Cdf>(strength_, lower, upper);
    return search.root_of_excess(level, search.lower_bound(level), lower / 2 + upper / 2);
  }

  /// The same for a level that is not whole, of values that ascend, where G is below it up to
  /// `least`.
  double above(double least, double level) const {
    return root_of_excess(level, least, values_[static_cast<int64_t>(level)]);
  }

 private:
  using Step = RootSearch::Step;

  /// α |a - b|
  static double distance(double a, double b, double strength) {
    return std::abs(scaled_difference(strength, a, b));
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
    double sides = 0, beside = 0, density = 0;
    for (int64_t begin = 0; begin < count_; begin += kChunk) {
      const int64_t count = std::min(kChunk, count_ - begin);
      const double* values = values_ + begin;
      double side[kChunk], d[kChunk], masses[kChunk], densities[kChunk];
      for (int64_t i = 0; i < count; ++i) {
        side[i] = static_cast<double>(values[i] > y) - static_cast<double>(values[i] < y);
        d[i] = distance(y, values[i], strength_);
      }
      tails<Cdf>(d, count, masses, densities);
      for (int64_t i = 0; i < count; ++i) masses[i] *= side[i];
      sides += sum_of(side, count);
      beside += sum_of(masses, count);
      density += sum_of(densities, count);
    }
    const double whole = (static_cast<double>(count_) - sides) / 2;  // an item at y is half below
    return {(whole - level) + beside, density};
  }

  /// log upper(y) - log lower(y), for y between neighbours `lower` and `upper` of the row.
  Step balance(double y, double lower, double upper) const {
    TailBalance<Cdf> tails(distance(y, lower, balance_strength_),
                           distance(y, upper, balance_strength_));
    for (int64_t i = 0; i < count_; ++i) {
      tails.add(values_[i] >= upper ? 1 : 0, distance(y, values_[i], balance_strength_));
    }
    const Step ratio = tails.log_ratio();
    return {ratio.value, ratio.slope * (balance_strength_ / strength_)};
  }

  double root_of_excess(double level, double lower, double first) const {
    return root([&](double y) { return excess(y, level); }, lower, upper_bound(level), first);
  }

  /// Where f is 0 between bounds, from y on.
  template <class Function>
  double root(const Function& f, double lower, double upper, double y) const {
    RootSearch search(y, lower, upper, strength_, kTolerance);
    while (!search.has_ended()) search.take(f(search.point()));
    return search.point();
  }

  static constexpr int64_t kChunk = 512;
  static constexpr double kHuge = std::numeric_limits<double>::max();
  static constexpr RootTolerance kTolerance = {4e-9, 0};
  // In a narrower gap the tails' sum is steep enough for Newton's method from the middle on.
  static constexpr double kWideGap = 16;

  const double* values_;
  int64_t count_;
  double strength_, minimum_, maximum_;
  double balance_strength_;  // with which no logarithm of a tail overflows: its limit is the same
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
