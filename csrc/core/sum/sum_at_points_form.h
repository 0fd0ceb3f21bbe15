#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/row/row_form.h"
#include "core/series/box_series.h"

namespace rank_relax {

/// The ways to compute the sums over one list at points of their own.
enum class SumAtPointsForm {
  kPairwise,  // O(points · values): short lists, orders without a series, heavy tails
  kOneRow,    // as a derivative of soft ranks, where these have scans of sorted rows or one box
  kBoxes,     // a grid with many values a box
  kSorted     // lists that are wider than that, and exponential tails
};

/// Which tails are summed: of all values, or as far as they show beside one that is near.
enum class Tails { kOfAll, kBesideNear };

/// How far, in units of 1/α, the tails of `count` values are summed, for a CDF with a grid.
template <class Cdf>
double reach_of_sum(Precision precision, Tails tails, int64_t count) {
  return tails == Tails::kOfAll ? Cdf::box_grid[precision].reach_of_tails
                                : reach_of_items<Cdf>(precision, count);
}

/// What a form takes, in ns, from which forms are chosen: roughly, as vectors of 512 bits do.
struct SumAtPointsCost {
  double pair;         // of a point and a value
  double box;          // beside its translations
  double translation;  // of a box's moments to another within reach
  double item;         // a value's moments or a point's series
  double sorted;       // a point or value in its place

  /// Of a grid without the items.
  double of_boxes(double boxes, double within_reach) const {
    return boxes * (box + std::min(boxes, within_reach) * translation);
  }
};

template <class Cdf>
SumAtPointsCost cost_of_sum_at_points(Precision precision, int order) {
  // The Gaussian's tail is a call of std::erfc, its density is not.
  const bool calls = kMostScannedOrder<Cdf> < 0 && order <= 0;
  return {calls ? 12.0 : 0.5, 15, precision == kSingle ? 5.0 : 20.0, 4, 25};
}

// Of a grid, beside the items: for the memory that they take.
constexpr double kMostBoxesOfNoItems = 64, kMostBoxesAnItem = 0.125;

/// How many boxes a grid has that lies within a scaled spread, infinitely many if they would take
/// too much memory beside so many items.
template <class Cdf>
double boxes_beside(Precision precision, double items, double spread) {
  const double boxes = spread / Cdf::box_grid[precision].width + 1;
  const bool fits = boxes < kMostBoxesOfNoItems + kMostBoxesAnItem * items &&
                    boxes * kGridTerms[precision] < kMostNumbersOfAGrid;
  return fits ? boxes : std::numeric_limits<double>::infinity();
}

/// The form for so many points and values that lie within this scaled spread.
template <class Cdf>
SumAtPointsForm sum_at_points_form(Precision precision, Tails tails, int order, int64_t points,
                                   int64_t values, double spread) {
  if (order >= kSeriesOrders) return SumAtPointsForm::kPairwise;
  double reach = 0;
  if constexpr (kHasGrid<Cdf>) reach = reach_of_sum<Cdf>(precision, tails, values);
  const SumAtPointsCost cost = cost_of_sum_at_points<Cdf>(precision, order);
  const double items = static_cast<double>(points) + static_cast<double>(values);
  const double pairs = static_cast<double>(points) * static_cast<double>(values);
  const double pairwise = pairs * cost.pair;
  const bool scans = order == 1 && kMostScannedOrder<Cdf> >= 1;
  const SumAtPointsForm wide = scans ? SumAtPointsForm::kOneRow : SumAtPointsForm::kSorted;
  if constexpr (!kFallsExponentially<Cdf>) {
    const int terms = order == 1 ? one_box_terms<Cdf>(kDouble, order, spread) : 0;
    return terms > 0 && items * terms < pairs ? SumAtPointsForm::kOneRow
                                              : SumAtPointsForm::kPairwise;
  } else if constexpr (!kHasGrid<Cdf>) {
    return pairwise <= items * cost.sorted ? SumAtPointsForm::kPairwise : wide;
  } else {
    const double within = 2 * reach / spread;
    const double in_windows = scans ? 0 : pairwise * std::min(1.0, within);
    const double sorted = items * cost.sorted + in_windows;
    const double boxes = boxes_beside<Cdf>(precision, items, spread);
    const double on_grid =
        cost.of_boxes(boxes, reach / Cdf::box_grid[precision].width) + items * cost.item;
    if (pairwise <= on_grid && pairwise <= sorted) return SumAtPointsForm::kPairwise;
    return on_grid <= sorted ? SumAtPointsForm::kBoxes : wide;
  }
}

}  // namespace rank_relax
