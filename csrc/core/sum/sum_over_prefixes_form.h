#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/series/box_series.h"
#include "core/sum/sum_at_points_form.h"

namespace rank_relax {

/// The ways to sum at points over prefixes of one list.
enum class SumOverPrefixesForm {
  kPairwise,  // O(points · values): short lists, orders without a series, heavy tails
  kOneGrid,   // halves whose boxes are those of one grid: where these are few beside the items
  kLists      // halves that are lists of their own (core/sum/sum_at_points_form.h)
};

/// The form for so many points and values that lie within this scaled spread.
template <class Cdf>
SumOverPrefixesForm sum_over_prefixes_form(Precision precision, int order, int64_t points,
                                           int64_t values, double spread) {
  if (order >= kSeriesOrders) return SumOverPrefixesForm::kPairwise;
  if constexpr (!kFallsExponentially<Cdf>) {
    return SumOverPrefixesForm::kPairwise;
  } else {
    const SumAtPointsCost cost = cost_of_sum_at_points<Cdf>(precision, order);
    const double items = static_cast<double>(points) + static_cast<double>(values);
    const double pairs = static_cast<double>(points) * static_cast<double>(values) / 2;
    // Halved until a list of this many items is summed pair by pair.
    constexpr double kItemsOfAPart = 128;
    const double in_lists = std::max(std::log2(items / kItemsOfAPart), 0.0) * cost.sorted / 2 +
                            kItemsOfAPart / 8 * cost.pair;
    double on_one_grid = std::numeric_limits<double>::infinity();
    if constexpr (kHasGrid<Cdf>) {
      const double boxes = boxes_beside<Cdf>(precision, items, spread);
      const BoxGrid& grid = Cdf::box_grid[precision];
      // What is spared by the last halving is what it costs.
      const double halving = cost.of_boxes(boxes, grid.reach_of_tails / grid.width);
      on_one_grid = cost.item + 1.5 * std::sqrt(halving * cost.pair) / 2;
    }
    const double least = std::min(in_lists, on_one_grid);
    if (pairs * cost.pair <= items * least) return SumOverPrefixesForm::kPairwise;
    return on_one_grid <= in_lists ? SumOverPrefixesForm::kOneGrid : SumOverPrefixesForm::kLists;
  }
}

}  // namespace rank_relax
