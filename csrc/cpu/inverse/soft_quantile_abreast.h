#pragma once

#include <cstdint>

#include "cpu/inverse/centered_row.h"
#include "cpu/inverse/levels_in_lanes.h"
#include "cpu/inverse/quantile_search.h"
#include "cpu/inverse/row_group.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Quantiles of as many short rows at once as a vector has lanes, as cpu/soft_quantile.h says, of
/// rows that lie one after the other.
template <class Cdf, class Scalar>
class SoftQuantilesAbreast {
  using Group = RowGroup<Cdf, Scalar>;

 public:
  static constexpr int kRows = Group::kRows;
  static constexpr bool kServes = Group::kServes;
  static constexpr int64_t kMostLevels = 8;  // which take as long as sorting the rows

  static bool suits(const SoftBatch<Scalar>& batch) { return Group::suits(batch); }

  SoftQuantilesAbreast(int64_t size, double regularization_strength)
      : size_(size), group_(size, regularization_strength) {}

  /// Takes in kRows rows, or refuses them.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row) {
    constexpr double kItemsABox = 6;  // as benchmarks/sorting.py measured it
    return group_.set_rows(input, first_row, kItemsABox);
  }

  /// At kMostLevels at most. False, and nothing is written, where a share is none, or a point is
  /// hard to find.
  bool find(const Rows<double>& q, int64_t first_row, int64_t number, double* quantiles,
            double* points, double* densities) {
    double levels[kMostLevels * kRows], starts[kMostLevels * kRows];
    for (int row = 0; row < kRows; ++row) {
      const Row<double> shares = q.row(first_row + row);
      for (int64_t l = 0; l < number; ++l) {
        if (!(0 <= shares[l] && shares[l] <= 1)) return false;
        levels[l * kRows + row] = shares[l] * (static_cast<double>(size_) - 1) + 0.5;
      }
    }
    const ExtentOfLanes<Scalar>& extent = group_.extent();
    levels_.set_rows(group_.values(), size_, extent.lowest, extent.highest, group_.strength());
    for (int64_t l = 0; l < number; ++l) {
      if (!levels_.solve(levels + l * kRows, starts + l * kRows)) return false;
    }
    for (int row = 0; row < kRows; ++row) {
      const FiniteRow<Scalar>& finite = centered_.set_row(group_.row(row));
      const double center = centered_.center();
      const ParallelFor alone = in_this_thread;
      const QuantileSearch<Cdf, Scalar> search(finite, group_.strength(), alone);
      for (int64_t l = 0; l < number; ++l) {
        const int64_t from = l * kRows + row, to = row * number + l;
        const auto found = search.near(starts[from] - center, levels[from]);
        points[to] = found.point;
        densities[to] = found.density;
        quantiles[to] = center + found.point;
      }
    }
    return true;
  }

 private:
  int64_t size_;
  Group group_;
  LevelsInLanes<Cdf, Scalar> levels_;
  CenteredRow<Scalar> centered_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
