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
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/row_parts.h"
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
/// so that nothing is lost beside the count. In a long row that is wide beside the reach of a tail,
/// tails are taken of what is within it alone, unless that is so little that the rest shows. In a
/// gap that is wide beside 1/α, G is flat at a whole number to rounding, and the tails' logarithms
/// are compared (core/inverse/tail_balance.h).
template <class Cdf, class Scalar>
class QuantileSearch {
 public:
  QuantileSearch(const FiniteRow<Scalar>& row, double regularization_strength,
                 const ParallelFor& parallel_for)
      : row_(row), strength_(regularization_strength), parallel_for_(&parallel_for) {
    const double half_spread = maximum() / 2 - minimum() / 2;
    balance_strength_ = half_spread > 0 ? std::min(strength_, 1e150 / half_spread) : strength_;
    is_wide_ = kFallsExponentially<Cdf> && row.count >= kFewestItemsOfReach &&
               distance(maximum(), minimum(), strength_) > 4 * kReach;
  }

  /// Σ_j F'(α (y - x_j))
  double density_at(double y) const { return sums_at(y, 0).density; }

  /// y with G(y) = level, 0 < level < count.
  double operator()(double level) const {
    const auto whole = static_cast<int64_t>(level);
    // The item at which the count passes the level, and with it where the search begins.
    std::vector<Scalar> values(row_.values, row_.values + row_.count);
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
    return root_of_excess(level, least,
                          static_cast<double>(row_.values[static_cast<int64_t>(level)]));
  }

  /// A point, and Σ_j F'(α (y - x_j)) there.
  struct Found {
    double point, density;
  };

  /// y with G(y) = level, from a point on that is there but for errors small beside 1/α; where that
  /// leads nowhere, searched for.
  Found near(double about, double level) const {
    constexpr double kFlat = 1e-280;
    // A step that leaves its square; of densities with a kink, itself.
    constexpr double kShort = kHasKink<Cdf> ? 1e-13 : 1e-7;
    constexpr int kMostSteps = 4;
    double y = about;
    for (int step = 0; step < kMostSteps; ++step) {
      const Sums at = sums_at(y, level);
      if (!(at.density > kFlat)) break;
      const double change = -at.excess / at.density;
      const double next = y + change / strength_;
      const double moved = strength_ * (next - y);
      if (std::abs(moved) <= kShort) return {next, at.density + moved * at.slope};
      if (std::abs(next - y) <= kRounding * std::abs(y)) return {y, at.density};
      if (!(std::abs(moved) < 1)) break;
      y = next;
    }
    const double point = (*this)(level);
    return {point, density_at(point)};
  }

 private:
  using Step = RootSearch::Step;

  double minimum() const { return static_cast<double>(row_.minimum); }
  double maximum() const { return static_cast<double>(row_.maximum); }

  /// α |a - b|
  static double distance(double a, double b, double strength) {
    return std::abs(scaled_difference(strength, a, b));
  }

  /// G is half the count at most below all values, and at least above them: so one bound is theirs,
  /// and the other is looked for from there.
  double lower_bound(double level) const {
    double bound = minimum();
    if (level >= static_cast<double>(row_.count) / 2) return bound;
    for (double step = 1 / strength_; excess(bound, level).value > 0; step *= 2) {
      if (bound == -kHuge) break;  // as far as ln(2n)/α goes
      bound = std::max(bound - step, -kHuge);
    }
    return bound;
  }
  double upper_bound(double level) const {
    double bound = maximum();
    if (level <= static_cast<double>(row_.count) / 2) return bound;
    for (double step = 1 / strength_; excess(bound, level).value < 0; step *= 2) {
      if (bound == kHuge) break;
      bound = std::min(bound + step, kHuge);
    }
    return bound;
  }

  /// G(y) - level.
  Step excess(double y, double level) const {
    const Sums sums = sums_at(y, level);
    return {sums.excess, sums.density};
  }

  struct Sums {
    double excess;   // G(y) - level
    double density;  // Σ_j F'(α (y - x_j))
    double slope;    // Σ_j F''(α (y - x_j))
  };

  Sums sums_at(double y, double level) const {
    // Of a thousand million items out of reach not a digit shows beside this.
    constexpr double kMuch = 1e-6;
    if (is_wide_) {
      const Sums near = sums_at(y, level, kReach);
      if (near.density > kMuch) return near;
    }
    return sums_at(y, level, kInfinity);
  }

  /// With tails of the items up to this distance.
  Sums sums_at(double y, double level, double reach) const {
    const int64_t parts = RowParts::of(row_.count);
    Parts all;
    if (parts == 1) {
      all = parts_of(0, row_.count, y, reach);
    } else {
      std::vector<Parts> each(parts);
      RowParts::for_each(row_.count, *parallel_for_, [&](int64_t begin, int64_t end, int64_t part) {
        each[part] = parts_of(begin, end, y, reach);
      });
      for (const Parts& part : each) {
        all.sides += part.sides;
        all.beside += part.beside;
        all.density += part.density;
        all.slope += part.slope;
      }
    }
    // An item at y is half below it.
    const double whole = (static_cast<double>(row_.count) - all.sides) / 2;
    return {(whole - level) + all.beside, all.density, all.slope};
  }

  /// What the items [begin, end) add: to the number above y less that below, and to sums.
  struct Parts {
    double sides = 0, beside = 0, density = 0, slope = 0;
  };
  Parts parts_of(int64_t begin, int64_t end, double y, double reach) const {
    Parts parts;
    for (; begin < end; begin += kChunk) {
      int64_t count = std::min(kChunk, end - begin);
      const Scalar* values = row_.values + begin;
      double side[kChunk], d[kChunk], masses[kChunk], densities[kChunk], slopes[kChunk];
      for (int64_t i = 0; i < count; ++i) {
        const double value = static_cast<double>(values[i]);
        side[i] = static_cast<double>(value > y) - static_cast<double>(value < y);
        d[i] = distance(y, value, strength_);
      }
      parts.sides += sum_of(side, count);
      if (reach < kInfinity) {
        int64_t within = 0;
        for (int64_t i = 0; i < count; ++i) {
          d[within] = d[i];
          side[within] = side[i];
          within += d[i] < reach ? 1 : 0;
        }
        count = within;
      }
      tails<Cdf>(d, count, masses, densities);
      slopes_of_tails<Cdf>(d, masses, densities, count, slopes);
      for (int64_t i = 0; i < count; ++i) {
        masses[i] *= side[i];
        slopes[i] *= -side[i];
      }
      parts.beside += sum_of(masses, count);
      parts.density += sum_of(densities, count);
      parts.slope += sum_of(slopes, count);
    }
    return parts;
  }

  /// log upper(y) - log lower(y), for y between neighbours `lower` and `upper` of the row.
  Step balance(double y, double lower, double upper) const {
    TailBalance<Cdf> tails(distance(y, lower, balance_strength_),
                           distance(y, upper, balance_strength_));
    for (int64_t i = 0; i < row_.count; ++i) {
      const double value = static_cast<double>(row_.values[i]);
      tails.add(value >= upper ? 1 : 0, distance(y, value, balance_strength_));
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
  // Where tails that fall as e^-d have fallen to 1e-30.
  static constexpr double kReach = 70;
  static constexpr int64_t kFewestItemsOfReach = 1024;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kHuge = std::numeric_limits<double>::max();
  static constexpr double kRounding = std::numeric_limits<double>::epsilon();
  static constexpr RootTolerance kTolerance = {4e-9, 0};
  // In a narrower gap the tails' sum is steep enough for Newton's method from the middle on.
  static constexpr double kWideGap = 16;

  FiniteRow<Scalar> row_;
  double strength_;
  const ParallelFor* parallel_for_;
  bool is_wide_;
  double balance_strength_;  // with which no logarithm of a tail overflows: its limit is the same
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
