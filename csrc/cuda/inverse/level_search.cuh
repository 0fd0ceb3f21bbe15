#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/cdf/smooth_cdfs.h"
#include "core/inverse/root_search.h"
#include "core/inverse/tail_balance.h"
#include "core/row/scaled_difference.h"
#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) of ascending values, one level at a
// time, as cpu/inverse/quantile_search.h does it: G is taken apart at y, into the whole items below
// and two tails, so that nothing is lost beside the count, and in a gap that is too wide for that
// their logarithms are compared (core/inverse/tail_balance.h).
//
// y = anchor + u/α, with an item near the level for the anchor, and u is what is searched for.

using Step = RootSearch::Step;

/// Where f is 0 between `lower` and `upper`, from a first guess on. All threads that call it
/// together get the same of f.
template <class Function>
__device__ double find_root(const Function& f, double u, double lower, double upper) {
  constexpr RootTolerance kTolerance = {1e-8, 0.5};  // y has the rounding of the anchor
  RootSearch search(u, lower, upper, 1, kTolerance);
  while (!search.has_ended()) search.take(f(search.point()));
  return search.point();
}

/// What one level is searched from.
struct LevelBracket {
  double anchor;
  double next;          // the item behind the anchor, of a whole level; else the anchor
  double lower, upper;  // of u, certain
  double reach;         // beyond which the tails of all items are nothing beside the level
  bool in_wide_gap;     // between anchor and next: only the tails' logarithms show where y is
};

/// Of a level of ascending values at(0) .. at(count - 1), 0 < level < count. For m > level items at
/// or below x_m the count there reaches the level a T beyond x_m at which m F(T) does, and likewise
/// from above.
template <class Cdf, class At>
__device__ LevelBracket bracket_of(const At& at, int64_t count, double strength, double level) {
  const double whole = ceil(level), above = floor(level) + 1;
  const double items_above = static_cast<double>(count) - whole + 1;
  LevelBracket bracket;
  bracket.anchor = at(static_cast<int64_t>(whole) - 1);
  bracket.next = at(static_cast<int64_t>(above) - 1);
  const double gap = scaled_difference(strength, bracket.next, bracket.anchor);
  bracket.in_wide_gap = kFallsExponentially<Cdf> && gap > kTailReach<Cdf>;
  const double below_anchor = 1 + Cdf::reach_of(items_above / (level - (whole - 1)), 0);
  const double beyond_next = 1 + Cdf::reach_of(above / (above - level), 0);
  bracket.lower = -below_anchor;
  bracket.upper = gap + beyond_next;
  bracket.reach = kTailReach<Cdf> + Larger()(below_anchor, beyond_next);
  return bracket;
}

/// What one item adds to the count at an y that is α (y - x) = d above it.
template <class Cdf>
struct CountAt {
  double whole = 0, tails = 0, density = 0;

  __device__ void add(double d) {
    const UpperTail<double> tail = Cdf::tail(fabs(d));
    if (d >= 0) whole += 1;
    tails += d >= 0 ? -tail.mass : tail.mass;
    density += tail.density;
  }

  /// Over the lanes of a warp.
  __device__ Step beside(double level) {
    whole = reduce_in_warp(whole, Sum());
    tails = reduce_in_warp(tails, Sum());
    return {(whole - level) + tails, reduce_in_warp(density, Sum())};
  }
};

/// From which width on, in units of 1/α, the items move the point in a gap by less than its
/// rounding: it is the middle.
constexpr double kMiddle = 1e17;

/// The two tails at y = anchor + u/α in the wide gap behind the anchor, u of `gap`. for_each(add)
/// calls add(x) for the items of a thread.
template <class Cdf, class ForEach>
__device__ TailBalance<Cdf> tails_in_gap(const LevelBracket& bracket, double strength, double gap,
                                         double u, const ForEach& for_each) {
  TailBalance<Cdf> tails(u, gap - u);
  for_each([&](double x) {
    // Not by a side that varies: what is chosen by an index would be in local memory.
    if (x >= bracket.next) {
      tails.add(1, tails.distance[1] + scaled_difference(strength, x, bracket.next));
    } else {
      tails.add(0, tails.distance[0] + scaled_difference(strength, bracket.anchor, x));
    }
  });
  return tails;
}

/// Their balance; reduce(sum) adds over the threads.
template <class Cdf, class ForEach, class Reduce>
__device__ Step balance(const LevelBracket& bracket, double strength, double u,
                        const ForEach& for_each, const Reduce& reduce) {
  const double gap = scaled_difference(strength, bracket.next, bracket.anchor);
  TailBalance<Cdf> tails = tails_in_gap<Cdf>(bracket, strength, gap, u, for_each);
  for (int side = 0; side < 2; ++side) {
    tails.weights[side] = reduce(tails.weights[side]);
    tails.slopes[side] = reduce(tails.slopes[side]);
  }
  return tails.log_ratio();
}

/// The point of a whole level in a wide gap.
template <class Cdf, class ForEach, class Reduce>
__device__ double point_in_gap(const LevelBracket& bracket, double strength,
                               const ForEach& for_each, const Reduce& reduce) {
  const double gap = scaled_difference(strength, bracket.next, bracket.anchor);
  if (!(gap < kMiddle)) return bracket.anchor / 2 + bracket.next / 2;
  const double u =
      find_root([&](double at) { return balance<Cdf>(bracket, strength, at, for_each, reduce); },
                gap / 2, 0, gap);
  return bracket.anchor + u / strength;
}

}  // namespace rank_relax::cuda
