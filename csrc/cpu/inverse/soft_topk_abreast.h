#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/inverse/levels_in_lanes.h"
#include "cpu/inverse/row_group.h"
#include "cpu/inverse/soft_topk_shares.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft top-k masks of as many short rows at once as a vector has lanes, as cpu/soft_topk.h says,
/// of rows that lie one after the other.
template <class Cdf, class Scalar>
class TopKAbreast {
  using Group = RowGroup<Cdf, Scalar>;

 public:
  static constexpr int kRows = Group::kRows;
  static constexpr bool kServes = Group::kServes;

  static bool suits(const SoftBatch<Scalar>& batch) { return Group::suits(batch); }

  TopKAbreast(int64_t size, double regularization_strength)
      : size_(size), group_(size, regularization_strength) {}

  /// Takes in kRows rows, or refuses them.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row) {
    constexpr double kItemsABox = 10;  // as benchmarks/sorting.py measured it
    return group_.set_rows(input, first_row, kItemsABox);
  }

  /// False, and nothing is written, where all or none of a row are chosen, or a threshold is hard
  /// to find.
  bool choose(const Rows<double>& k, int64_t first_row, Scalar* chosen, double* densities) {
    const double size = static_cast<double>(size_);
    double wanted[kRows], levels[kRows], thresholds[kRows];
    for (int row = 0; row < kRows; ++row) {
      wanted[row] = k.row(first_row + row)[0];
      levels[row] = size - wanted[row];
      if (!(0 < levels[row] && levels[row] < size)) return false;
    }
    levels_.set_rows(group_.values(), size_, group_.extent().lowest, group_.extent().highest,
                     group_.strength());
    if (!levels_.solve(levels, thresholds)) return false;
    const int64_t together = shares_.together(size_);
    for (int64_t first = 0; first < kRows; first += together) {
      shares_.share_out_together(
          [&](int64_t row) { return group_.row(static_cast<int>(first + row)).values; },
          std::min(together, kRows - first), size_, thresholds + first, wanted + first,
          group_.strength(), chosen + first * size_, densities + first * size_);
    }
    return true;
  }

 private:
  int64_t size_;
  Group group_;
  LevelsInLanes<Cdf, Scalar> levels_;
  TopKShares<Cdf, Scalar> shares_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
