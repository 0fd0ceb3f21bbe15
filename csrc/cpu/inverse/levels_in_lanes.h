#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/cdf/capabilities.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/vector.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) at one level of each of as many rows
/// as a vector has lanes, which are not sorted: O(size) a step, and all rows make the same steps.
///
/// First the neighbours between which the hard count passes the level, by counting items up to a
/// value that is interpolated between those known. From there on, with r = #{x_j <= y} - level and
/// the tails of both sides, G(y) is the level where
///
///     Σ_{x_j > y} F(-α (x_j - y)) + max(r, 0) = Σ_{x_j <= y} F(-α (y - x_j)) + max(-r, 0),
///
/// and Newton's method finds it by the logarithm of that ratio. In the middle of a gap that is wide
/// beside 1/α both tails are one exponential each, with constant factors.
template <class Cdf, class Scalar>
class LevelsInLanes {
  using V = Vector<Scalar>;
  static constexpr int kLanes = V::kLanes;

 public:
  static constexpr bool kServes = kMostScannedOrder<Cdf> >= 1 && kLanes >= 4;

  /// Takes in rows of `size` finite items, lane by lane, which must stay as they are.
  void set_rows(const V* values, int64_t size, V lowest, V highest, double strength) {
    values_ = values;
    size_ = size;
    lowest_ = lowest;
    highest_ = highest;
    strength_ = strength;
  }

  /// points[lane] = y with G(y) = levels[lane], 0 < level < size, but for an error of Scalar's
  /// rounding beside 1/α. False if there are rows in which it is not found in few steps.
  bool solve(const double* levels, double* points) {
    constexpr double kFarthest = sizeof(Scalar) == 4 ? 1e30 : 1e200;
    if (!(1 / kFarthest < strength_ && strength_ < kFarthest)) return false;
    const FlushToZero flush;
    Neighbours at;
    if (!find_neighbours(levels, &at)) return false;
    double is_moved[kLanes];  // by steps: 0 in a gap
    bool any_in_gap = false, all_in_gap = true;
    for (int lane = 0; lane < kLanes; ++lane) {
      const double lower = at.lower[lane], upper = at.upper[lane];
      const bool is_whole = levels[lane] == std::floor(levels[lane]) && lower < upper;
      points[lane] = is_whole ? lower / 2 + upper / 2 : upper;
      const bool in_gap = is_whole && (upper - lower) * strength_ > kWideGap;
      is_moved[lane] = in_gap ? 0 : 1;
      any_in_gap = any_in_gap || in_gap;
      all_in_gap = all_in_gap && in_gap;
    }
    if (any_in_gap) balance_gaps(at, is_moved, points);
    return all_in_gap || go_to_levels(levels, is_moved, points);
  }

 private:
  // On both sides of its middle, a tail's first power is all that shows of it.
  static constexpr double kWideGap = sizeof(Scalar) == 4 ? 36 : 76;
  static constexpr double kConverged = sizeof(Scalar) == 4 ? 3e-5 : 3e-8;  // its square is left
  static constexpr int kMostPasses = 40;
  static constexpr int kMostSteps = 20;
  static constexpr int64_t kChunk = 32;  // items whose sums are Scalars

  /// The items between which the count of items passes a level; equal where equal items do.
  struct Neighbours {
    Scalar lower[kLanes], upper[kLanes];
  };

  bool find_neighbours(const double* levels, Neighbours* at) const {
    const V none = V::broadcast(0), one = V::broadcast(1), half = V::broadcast(Scalar(0.5));
    const V infinity = V::broadcast(std::numeric_limits<Scalar>::infinity());
    Scalar wholes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      wholes[lane] = static_cast<Scalar>(std::floor(levels[lane]));
    }
    const V whole = V::load(wholes);
    // There are `below` items below the item `first`, `up_to` up to the item `last`, and the item
    // before the first is `before`.
    V first = lowest_, last = highest_, before = none - infinity;
    V below = none, up_to = V::broadcast(static_cast<Scalar>(size_));
    V split = first, open = V::where_larger(whole, none, one, none);
    for (int pass = 0; pass < kMostPasses; ++pass) {
      const bool halve = pass % 4 == 3;
      const V share = halve ? half : (whole + half - below) / (up_to - below);
      V next = first + (last - first) * share;
      next = V::where_larger(last, next, larger(next, first), first);
      split = V::where_larger(open, none, next, split);
      V count = none, lower = none - infinity, upper = infinity;
      for (int64_t j = 0; j < size_; ++j) {
        const V x = values_[j];
        count = count + V::where_larger(x, split, none, one);
        lower = larger(lower, V::where_larger(x, split, lower, x));
        upper = smaller(upper, V::where_larger(x, split, x, upper));
      }
      const V short_of = V::where_larger(whole, count, open, none);
      const V beyond = V::where_larger(count, whole, open, none);
      const V met = open - short_of - beyond;
      // What is met stays between those neighbours.
      const V up = short_of + met, down = beyond + met;
      before = V::where_larger(up, none, lower, before);
      first = V::where_larger(up, none, upper, first);
      below = V::where_larger(up, none, count, below);
      last = V::where_larger(down, none, V::where_larger(met, none, upper, lower), last);
      up_to = V::where_larger(beyond, none, count, up_to);
      open = V::where_larger(last, first, open - met, none);
      if (!(highest_lane(open) > 0)) {
        // Equal items that pass the level are their own neighbours.
        V::where_larger(whole, below, first, before).store(at->lower);
        first.store(at->upper);
        return true;
      }
    }
    return false;
  }

  /// In the middle of wide gaps: y where the tails A e^-α(y - lower) and B e^-α(upper - y) are
  /// equal.
  void balance_gaps(const Neighbours& at, const double* is_moved, double* points) const {
    const V lower = V::load(at.lower), upper = V::load(at.upper);
    double tails[2][kLanes] = {};
    for (int64_t begin = 0; begin < size_; begin += kChunk) {
      const int64_t count = std::min(kChunk, size_ - begin);
      alignas(64) Scalar distances[2][kChunk * kLanes];
      const V strength = V::broadcast(static_cast<Scalar>(strength_));
      const V farthest = V::broadcast(Scalar(kMostDecay));
      for (int64_t j = 0; j < count; ++j) {
        const V x = values_[begin + j];
        const V from_lower = V::where_larger(x, lower, farthest, (lower - x) * strength);
        const V from_upper = V::where_larger(upper, x, farthest, (x - upper) * strength);
        smaller(from_lower, farthest).store(distances[0] + j * kLanes);
        smaller(from_upper, farthest).store(distances[1] + j * kLanes);
      }
      for (int side = 0; side < 2; ++side) {
        decay_of(distances[side], count * kLanes);
        V sum = V::broadcast(0);
        for (int64_t j = 0; j < count; ++j) sum = sum + V::load(distances[side] + j * kLanes);
        add(sum, tails[side]);
      }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      if (is_moved[lane] == 0)
        points[lane] += std::log(tails[0][lane] / tails[1][lane]) / (2 * strength_);
    }
  }

  static constexpr Scalar kMostDecay = sizeof(Scalar) == 4 ? 80 : 690;

  static void decay_of(Scalar* distances, int64_t count) {
    for (int64_t i = 0; i < count; ++i) distances[i] = exponential_decay(distances[i]);
  }

  static void add(V lanes, double* sums) {
    Scalar each[kLanes];
    lanes.store(each);
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(each[lane]);
  }

  /// Newton's method while its steps stay between bounds, else bisection.
  bool go_to_levels(const double* levels, const double* is_moved, double* points) const {
    double lower[kLanes], upper[kLanes];
    Scalar lowest[kLanes], highest[kLanes];
    lowest_.store(lowest);
    highest_.store(highest);
    const auto size = static_cast<double>(size_);
    for (int lane = 0; lane < kLanes; ++lane) {
      // Beyond all items the tails of all are as much as what the level has, or lacks.
      const double end = std::min(std::min(levels[lane], size - levels[lane]), 1.0);
      const double margin = (std::log(2 * size / end) + 1) / strength_;
      lower[lane] = static_cast<double>(lowest[lane]) - margin;
      upper[lane] = static_cast<double>(highest[lane]) + margin;
    }
    for (int step = 0; step < kMostSteps; ++step) {
      const Sums sums = sums_at(points);
      double longest = 0;
      for (int lane = 0; lane < kLanes; ++lane) {
        const double r = sums.up_to[lane] - levels[lane];
        const double above = sums.above[lane] + (r > 0 ? r : 0);
        const double below = sums.below[lane] - (r < 0 ? r : 0);
        const double z = (above - below) / (above + below);
        // log(above / below), where that is small
        const double log_ratio = z * (2 + z * z * (2.0 / 3));
        const double slope = sums.above_density[lane] / above + sums.below_density[lane] / below;
        const double y = points[lane];
        upper[lane] = z > 0 ? y : upper[lane];
        lower[lane] = z > 0 ? lower[lane] : y;
        double next = y - log_ratio / (slope * strength_);
        const bool is_between = lower[lane] <= next && next <= upper[lane];
        next = is_between ? next : (lower[lane] + upper[lane]) / 2;
        next = is_moved[lane] > 0 ? next : y;
        points[lane] = next;
        const double length = std::abs(next - y) * strength_;
        longest = length <= longest ? longest : length;  // NaN stays
      }
      if (longest <= kConverged) return true;
    }
    return false;
  }

  /// Of each row, by a point y: #{x_j <= y}, the tails F(-α|y - x_j|) of both sides, and Σ F'.
  struct Sums {
    double up_to[kLanes] = {}, above[kLanes] = {}, below[kLanes] = {}, above_density[kLanes] = {},
           below_density[kLanes] = {};
  };

  Sums sums_at(const double* points) const {
    Scalar nearest[kLanes], rests[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      nearest[lane] = static_cast<Scalar>(points[lane]);
      rests[lane] = static_cast<Scalar>(points[lane] - static_cast<double>(nearest[lane]));
    }
    const V near = V::load(nearest), rest = V::load(rests), none = V::broadcast(0);
    const V strength = V::broadcast(static_cast<Scalar>(strength_)), one = V::broadcast(1);
    const V farthest = V::broadcast(Scalar(kMostDecay));
    Sums sums;
    for (int64_t begin = 0; begin < size_; begin += kChunk) {
      const int64_t count = std::min(kChunk, size_ - begin);
      alignas(64) Scalar differences[kChunk * kLanes], d[kChunk * kLanes], masses[kChunk * kLanes],
          densities[kChunk * kLanes];
      for (int64_t j = 0; j < count; ++j) {
        const V difference = (values_[begin + j] - near) - rest;
        difference.store(differences + j * kLanes);
        smaller(absolute(difference) * strength, farthest).store(d + j * kLanes);
      }
      tails<Cdf>(d, count * kLanes, masses, densities);
      V up_to = none, above = none, below = none, above_density = none, below_density = none;
      for (int64_t j = 0; j < count; ++j) {
        const V difference = V::load(differences + j * kLanes);
        const V mass = V::load(masses + j * kLanes), density = V::load(densities + j * kLanes);
        up_to = up_to + V::where_larger(difference, none, none, one);
        above = above + V::where_larger(difference, none, mass, none);
        below = below + V::where_larger(difference, none, none, mass);
        above_density = above_density + V::where_larger(difference, none, density, none);
        below_density = below_density + V::where_larger(difference, none, none, density);
      }
      add(up_to, sums.up_to);
      add(above, sums.above);
      add(below, sums.below);
      add(above_density, sums.above_density);
      add(below_density, sums.below_density);
    }
    return sums;
  }

  const V* values_ = nullptr;
  int64_t size_ = 0;
  V lowest_, highest_;
  double strength_ = 1;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
