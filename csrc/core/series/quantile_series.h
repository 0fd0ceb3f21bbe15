#pragma once

#include <cmath>
#include <mutex>
#include <vector>

#include "core/series/kernel_series.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// What the items of one box of a grid add to the smoothed count Σ_j F(α(y - x_j)) in another one:
///
///     in their own box             Σ_j 1/2 + Σ_{l,k} own[l][k] s_j^l t^k
///     `distance` boxes above y     Σ_j Σ_{l,k} (-1)^(k+l) tails[distance - 1][l][k] s_j^l t^k
///     `distance` boxes below it    Σ_j 1 - Σ_{l,k} tails[distance - 1][l][k] s_j^l t^k
///
/// with t and s the coordinates of y and x_j in their boxes. The tails F(-|d|) are series of their
/// own, not ½ less a series of F - ½: far out they keep their relative precision, and what is left
/// of a level once the whole items below are taken from it is what they must add up to.
struct QuantileSeries {
  int terms;
  int reach;  // in boxes
  double width;
  std::vector<double> own;
  std::vector<double> tails;
};

/// Made at its first use and kept.
template <class Cdf>
const QuantileSeries& quantile_series(Precision precision) {
  static std::once_flag once[2];
  static QuantileSeries kept[2];
  QuantileSeries& series = kept[precision];
  std::call_once(once[precision], [&] {
    const BoxGrid grid = Cdf::box_grid[precision];
    series.terms = kGridTerms[precision];
    series.reach = boxes_of_reach(grid.reach_of_tails, grid.width);
    series.width = grid.width;
    const SeriesBox box = {grid.width / 2, series.terms};
    const auto in_powers = [&](const std::vector<double>& chebyshev) {
      return source_in_powers(target_in_powers(chebyshev, series.terms), series.terms);
    };
    series.own = in_powers(kernel_series<Cdf>(0, 0, box, box));
    for (int distance = 1; distance <= series.reach; ++distance) {
      const std::vector<double> tail = in_powers(difference_series(
          distance * grid.width, box, box, [](double d) { return Cdf::upper_tail(d); },
          [](int, int) { return false; }));
      series.tails.insert(series.tails.end(), tail.begin(), tail.end());
    }
  });
  return series;
}

}  // namespace rank_relax
