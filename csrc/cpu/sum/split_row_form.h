#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/series/box_series.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/row/finite_row.h"
#include "cpu/split_rank.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Up to so many terms a row has one box: narrower rows would lose their relative precision on a
/// grid, and in wider ones a grid takes fewer operations an item.
constexpr int kMostTermsOfASplitRow = 24;

/// How a split row is summed, which every process finds for itself from the whole row's extent.
template <class Cdf>
struct SplitRowForm {
  int terms;      // in one box; 0: a grid
  int64_t boxes;  // of the grid; 0 if there are too many to number, or no items at all

  SplitRowForm(Precision precision, int order, const WholeRow& row) : terms(0), boxes(0) {
    if (!(row.minimum <= row.maximum)) return;
    const double spread = scaled_spread(extent(row), row.strength);
    terms = one_box_terms<Cdf>(precision, order, spread);
    if (0 < terms && terms <= kMostTermsOfASplitRow) return;
    terms = 0;
    const int64_t box_row = weight_sets(order) * kGridTerms[precision];
    const double most_boxes = static_cast<double>(kTooManyNumbers / box_row) - 2;
    if (!(spread / Cdf::box_grid[precision].width < most_boxes)) return;
    const DoubleCellGrid<double> grid(extent(row), Cdf::box_grid[precision].width, row.strength);
    boxes = grid.cells();
  }

  /// With no values, which lie in all the processes.
  static FiniteRow<double> extent(const WholeRow& row) {
    if (!(row.minimum <= row.maximum)) return {nullptr, 0, 0, 0};
    return {nullptr, 0, row.minimum, row.maximum};
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
