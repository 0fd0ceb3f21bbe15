#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/series/box_series.h"

namespace rank_relax {

/// The ways to compute the sums over one list at points of their own.
enum class SumAtPointsForm {
  kPairwise,  // O(points · values): short lists, orders without a series, heavy tails
  kOneBox,    // one series over all, where there is no grid
  kBoxes,     // a grid with many values a box
  kSorted     // lists that are wider than that, and exponential tails
};

/// What a form takes, in ns with the widest vectors, as benchmarks/sums_at_points.py measured it.
struct SumAtPointsCost {
  double pair;    // of a point and a value
  double box;     // its translation
  double item;    // a value's moments or a point's series
  double sorted;  // a point or value in its place
};

template <class Cdf>
constexpr SumAtPointsCost cost_of_sum_at_points(Precision precision, int order) {
  // The Gaussian's tail is a call of std::erfc, its density is not.
  const bool calls = kMostScannedOrder<Cdf> < 0 && order <= 0;
  return {calls ? 12.0 : 0.5, precision == kSingle ? 180.0 : 1000.0, 4, 25};
}

// Of a grid, beside the items: for the memory that they take.
constexpr double kMostBoxesOfNoItems = 64, kMostBoxesAnItem = 0.125;

/// The form for so many points and values that lie within this scaled spread.
template <class Cdf>
SumAtPointsForm sum_at_points_form(Precision precision, int order, int64_t points, int64_t values,
                                   double spread) {
  if (order >= kSeriesOrders) return SumAtPointsForm::kPairwise;
  const SumAtPointsCost cost = cost_of_sum_at_points<Cdf>(precision, order);
  const double items = static_cast<double>(points) + static_cast<double>(values);
  const double pairs = static_cast<double>(points) * static_cast<double>(values);
  const double pairwise = pairs * cost.pair;
  if constexpr (!kFallsExponentially<Cdf>) {
    const int terms = order < 0 ? 0 : one_box_terms<Cdf>(precision, order, spread);
    return terms > 0 && items * terms < pairs ? SumAtPointsForm::kOneBox
                                              : SumAtPointsForm::kPairwise;
  } else if constexpr (!kHasGrid<Cdf>) {
    return pairwise <= items * cost.sorted ? SumAtPointsForm::kPairwise : SumAtPointsForm::kSorted;
  } else {
    const double within = 2 * Cdf::box_grid[precision].reach_of_tails / spread;
    const double sorted = items * cost.sorted + pairwise * std::min(1.0, within);
    const double boxes = spread / Cdf::box_grid[precision].width + 1;
    const bool fits = boxes < kMostBoxesOfNoItems + kMostBoxesAnItem * items;
    const double on_grid =
        fits ? boxes * cost.box + items * cost.item : std::numeric_limits<double>::infinity();
    if (pairwise <= on_grid && pairwise <= sorted) return SumAtPointsForm::kPairwise;
    return on_grid <= sorted ? SumAtPointsForm::kBoxes : SumAtPointsForm::kSorted;
  }
}

}  // namespace rank_relax
