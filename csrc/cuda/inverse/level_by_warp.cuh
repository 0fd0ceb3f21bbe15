#pragma once

#include <cstdint>

#include "core/inverse/strength_in_gap.h"
#include "cuda/inverse/level_search.cuh"
#include "cuda/inverse/quantile_row.cuh"

namespace rank_relax::cuda {

// One level of ascending values, by a warp, which sums over the items within reach at every step.

/// G - level at anchor + u/α, by a warp.
template <class Cdf>
__device__ Step count_within_reach(const double* sorted, int64_t count, double strength,
                                   const LevelBracket& bracket, double level, double u) {
  const auto above = [&](int64_t i) {
    return u + scaled_difference(strength, bracket.anchor, sorted[i]);
  };
  int64_t begin = 0, end = count;
  if constexpr (kFallsExponentially<Cdf>) {
    begin = partition_in_warp(0, count, [&](int64_t i) { return above(i) > bracket.reach; });
    end = partition_in_warp(begin, count, [&](int64_t i) { return above(i) >= -bracket.reach; });
  }
  CountAt<Cdf> sum;
  for (int64_t i = begin + lane(); i < end; i += kWarp) sum.add(above(i));
  return sum.beside(level - static_cast<double>(begin));
}

/// The point at a level among ascending values, 0 < level < count, and the density there if it is
/// wanted: by sorts, whose levels are not whole.
template <class Cdf>
__device__ double point_at_level(const double* sorted, int64_t count, double strength, double level,
                                 double* density) {
  const auto at = [&](int64_t i) { return sorted[i]; };
  if (level == floor(level)) {
    const auto whole = static_cast<int64_t>(level);
    strength = strength_in_gap<Cdf>(strength, at(whole - 1), at(whole));
  }
  const LevelBracket bracket = bracket_of<Cdf>(at, count, strength, level);
  if constexpr (kFallsExponentially<Cdf>) {
    if (bracket.in_wide_gap) {
      return point_in_gap<Cdf>(
          bracket, strength,
          [&](const auto& add) {
            for (int64_t i = lane(); i < count; i += kWarp) add(sorted[i]);
          },
          [](double sum) { return reduce_in_warp(sum, Sum()); });
    }
  }
  const auto count_at = [&](double u) {
    return count_within_reach<Cdf>(sorted, count, strength, bracket, level, u);
  };
  const double guess = scaled_difference(strength, bracket.next, bracket.anchor) / 2;
  const double u = find_root(count_at, guess, bracket.lower, bracket.upper);
  if (density != nullptr) *density = count_at(u).slope;
  return bracket.anchor + u / strength;
}

/// One place of the results, by a warp.
template <class Cdf>
__device__ void solve_by_warp(const Quantile& problem, const RowStatistics& found, int64_t row,
                              int64_t place, const double* sorted) {
  const Wanted wanted = wanted_at(problem, found, row, place);
  double point = wanted.point, density = 0;
  if (wanted.has_level) {
    point = point_at_level<Cdf>(sorted, static_cast<int64_t>(found.finite),
                                problem.regularization_strength, wanted.level,
                                problem.densities != nullptr ? &density : nullptr);
  }
  if (lane() == 0) write_point(problem, row, place, point, density);
}

}  // namespace rank_relax::cuda
