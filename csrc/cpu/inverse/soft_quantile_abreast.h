#pragma once

#include <cstdint>
#include <vector>

#include "core/row/center.h"
#include "cpu/inverse/quantile_search.h"
#include "cpu/inverse/quantiles_abreast.h"
#include "cpu/inverse/sorted_group.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Quantiles of as many short rows at once as a vector has lanes, as cpu/soft_quantile.h says, of
/// rows that lie one after the other.
template <class Cdf, class Scalar>
class QuantilesOfRowsAbreast {
  using Group = SortedGroup<Cdf, Scalar>;

 public:
  static constexpr int kRows = Group::kRows;
  static constexpr bool kServes = Group::kServes;

  static bool suits(const SoftBatch<Scalar>& batch) { return Group::suits(batch); }

  QuantilesOfRowsAbreast(int64_t size, double regularization_strength)
      : size_(size), group_(size, regularization_strength) {}

  /// Takes in kRows rows, or refuses them.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row) {
    constexpr double kItemsABox = 2.5;  // as benchmarks/sorting.py measured it
    return group_.set_rows(input, first_row, kItemsABox);
  }

  /// False, and nothing is written, where a share is none.
  bool find(const Rows<Scalar>& input, const Rows<double>& q, int64_t first_row, int64_t number,
            double* quantiles, double* points, double* densities) {
    levels_.resize(number * kRows);
    starts_.resize(number * kRows);
    for (int row = 0; row < kRows; ++row) {
      const Row<double> shares = q.row(first_row + row);
      for (int64_t l = 0; l < number; ++l) {
        if (!(0 <= shares[l] && shares[l] <= 1)) return false;
        levels_[l * kRows + row] = shares[l] * (static_cast<double>(size_) - 1) + 0.5;
      }
    }
    quantiles_.set_rows(group_.sorted(), group_.strength());
    quantiles_.solve(levels_.data(), number, starts_.data());
    for (int row = 0; row < kRows; ++row) {
      const auto lowest = static_cast<Scalar>(group_.sorted().item(0)[row]);
      const auto highest = static_cast<Scalar>(group_.sorted().item(size_ - 1)[row]);
      const Scalar center = center_of(lowest, highest);
      const FiniteRow<Scalar> finite = {around(center, input.row(first_row + row)), size_,
                                        lowest - center, highest - center};
      const ParallelFor alone = in_this_thread;
      const QuantileSearch<Cdf, Scalar> search(finite, group_.strength(), alone);
      for (int64_t l = 0; l < number; ++l) {
        const int64_t from = l * kRows + row, to = row * number + l;
        const auto found = search.near(starts_[from] - center, levels_[from]);
        points[to] = found.point;
        densities[to] = found.density;
        quantiles[to] = center + found.point;
      }
    }
    return true;
  }

 private:
  const Scalar* around(Scalar center, const Row<Scalar>& row) {
    if (center == 0 && row.stride == 1) return row.data;
    values_.resize(size_);
    for (int64_t i = 0; i < size_; ++i) values_[i] = row[i] - center;
    return values_.data();
  }

  int64_t size_;
  Group group_;
  QuantilesAbreast<Cdf, Scalar> quantiles_;
  std::vector<double> levels_, starts_;  // [level][row]
  std::vector<Scalar> values_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
