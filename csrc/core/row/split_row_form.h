#pragma once

#include <cstdint>

#include "core/row/grid_placement.h"
#include "core/row/scaled_spread.h"
#include "core/series/box_series.h"

namespace rank_relax {

/// What all processes know of a row of which each has a part.
struct WholeRow {
  double minimum, maximum;  // of its finite items; minimum > maximum without any
  double regularization_strength;

  bool has_items() const { return minimum <= maximum; }
};

/// Up to so many terms a split row has one box: narrower rows would lose their relative precision
/// on a grid, and in wider ones a grid takes fewer operations an item.
constexpr int kMostTermsOfASplitRow = 24;

/// More numbers than 32 bits can address.
constexpr int64_t kTooManyNumbers = int64_t{1} << 31;

/// How a split row is summed, which every process finds for itself from the whole row's extent
/// alone: items are not counted, so that what one process sends fits what the others have.
template <class Cdf>
struct SplitRowForm {
  int terms = 0;      // in one box; 0: a grid
  int64_t boxes = 0;  // of the grid; 0 if there are too many to number, or no items at all

  /// In the moments of a row; 0 without finite items, kTooManyNumbers if no grid has so many.
  int64_t numbers = 0;

  SplitRowForm(Precision precision, int order, const WholeRow& row) {
    if (!row.has_items()) return;
    const int sets = 1 << order;
    const double strength = row.regularization_strength;
    const double spread = scaled_spread(row.minimum, row.maximum, strength);
    const int fitting = one_box_terms_at<Cdf>(precision, order, spread, strength);
    if (0 < fitting && fitting <= kMostTermsOfASplitRow) {
      terms = fitting;
      numbers = sets * terms;
      return;
    }
    const int box_row = sets * kGridTerms[precision];
    const double width = Cdf::box_grid[precision].width;
    const double most_boxes = static_cast<double>(kTooManyNumbers / box_row) - 2;
    if (!(spread / width < most_boxes)) {
      numbers = kTooManyNumbers;
      return;
    }
    boxes = grid_placement(row.minimum, row.maximum, width, strength).boxes();
    numbers = box_row * boxes;
  }
};

}  // namespace rank_relax
