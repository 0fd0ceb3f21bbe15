#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/cdf/capabilities.h"
#include "cpu/inverse/many_quantiles.h"
#include "cpu/inverse/quantiles_in_pieces.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/row_items.h"
#include "cpu/row/row_parts.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft sorted values of one row after another, with the memory that they need.
template <class Cdf, class Scalar>
class QuantileSortRow {
  using Number = TailNumber<Cdf, Scalar>;
  using Pieces = QuantilesInPieces<Cdf, Number>;

 public:
  /// As cpu/soft_sort.h says. `points` and `densities` may be null.
  void sort(const MaskedRow<Scalar>& row, double regularization_strength, Scalar* values,
            double* points, double* densities, const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    const FiniteRow<Number> finite = numbers_.of(items_.finite());
    const int64_t begin = items_.below(), count = finite.count;
    place_the_others(values, points, densities);
    values_ = values + begin;
    points_ = points == nullptr ? nullptr : points + begin;
    densities_ = densities == nullptr ? nullptr : densities + begin;
    if (count == 0) return;
    if constexpr (kHasGrid<Cdf>) {
      const bool sharp = is_sharp(finite, regularization_strength);
      const Number* sorted = sharp ? sorted_values_.of(finite.values, count) : nullptr;
      if (sharp && set_pieces(sorted, count, regularization_strength)) {
        solve_pieces(parallel_for);
      } else {
        solver_.ask_for_half_levels(count);
        if (solver_.set_grid(finite, regularization_strength, parallel_for)) {
          solve_in_parts(count, parallel_for);
        } else {
          if (!sharp) sorted = sorted_values_.of(finite.values, count);
          sort_clusters(sorted, count, regularization_strength);
        }
      }
    } else {
      solver_.set_sorted(sorted_values_.of(finite.values, count), count, regularization_strength);
      solve_in_parts(count, parallel_for);
    }
    keep_order(count);
  }

 private:
  void place_the_others(Scalar* values, double* points, double* densities) const {
    if (!items_.packed()) return;
    constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
    constexpr Scalar kNan = std::numeric_limits<Scalar>::quiet_NaN();
    const int64_t finite_end = items_.below() + items_.finite().count;
    const auto fill = [&](int64_t begin, int64_t end, Scalar value) {
      std::fill(values + begin, values + end, value);
      if (points != nullptr) std::fill(points + begin, points + end, value);
      if (densities != nullptr) std::fill(densities + begin, densities + end, 0.0);
    };
    fill(0, items_.below(), -kInfinity);
    fill(finite_end, items_.counted(), kInfinity);
    fill(items_.counted(), items_.unmasked(), kNan);
    fill(items_.unmasked(), items_.size(), 0);
  }

  void solve_in_parts(int64_t count, const ParallelFor& parallel_for) {
    RowParts::for_each(count, parallel_for,
                       [&](int64_t begin, int64_t end, int64_t) { solve(begin, end, 0); });
  }

  /// The levels [begin, end) of what the solver has, whose first item is the row's `offset`-th.
  void solve(int64_t begin, int64_t end, int64_t offset) {
    if (densities_ != nullptr) {
      solve<true>(begin, end, offset);
    } else {
      solve<false>(begin, end, offset);
    }
  }
  template <bool with_densities>
  void solve(int64_t begin, int64_t end, int64_t offset) {
    solver_.template solve<with_densities>(
        begin, end, [](int64_t i) { return static_cast<double>(i) + 0.5; },
        [&](int64_t i, int64_t number, const double* points, const double* densities) {
          Scalar* values = values_ + offset + i;
          for (int64_t k = 0; k < number; ++k) values[k] = static_cast<Scalar>(points[k]);
          if (points_ != nullptr) std::copy_n(points, number, points_ + offset + i);
          if constexpr (with_densities) std::copy_n(densities, number, densities_ + offset + i);
        });
  }

  /// Whether the row is worth cutting into pieces, and suits them.
  static bool is_sharp(const FiniteRow<Number>& finite, double regularization_strength) {
    constexpr double kItemsABox = 6;  // as benchmarks/sorting.py measured it
    const double boxes =
        scaled_spread(finite, regularization_strength) / Cdf::box_grid[precision_of<Number>].width;
    return Pieces::suits(finite, regularization_strength) &&
           boxes * kItemsABox > static_cast<double>(finite.count);
  }

  bool set_pieces(const Number* sorted, int64_t count, double regularization_strength) {
    if constexpr (Pieces::kServes) {
      return pieces_.set_sorted(sorted, count, regularization_strength);
    }
    return false;
  }

  void solve_pieces(const ParallelFor& parallel_for) {
    if constexpr (Pieces::kServes) {
      parallel_for(pieces_.stretches(), 1, [&](int64_t begin, int64_t end) {
        typename Pieces::Workspace another;
        auto& workspace = begin == 0 ? workspace_ : another;
        for (int64_t i = begin; i < end; ++i) {
          if (densities_ != nullptr) {
            solve_stretch<true>(i, workspace);
          } else {
            solve_stretch<false>(i, workspace);
          }
        }
      });
    }
  }
  template <bool with_densities>
  void solve_stretch(int64_t stretch, typename Pieces::Workspace& workspace) {
    pieces_.template solve<with_densities>(stretch, workspace,
                                           [&](int64_t first, int64_t number, const double* points,
                                               const double* densities, int64_t stride) {
                                             for (int64_t k = 0; k < number; ++k) {
                                               values_[first + k] =
                                                   static_cast<Scalar>(points[k * stride]);
                                               if (points_ != nullptr)
                                                 points_[first + k] = points[k * stride];
                                               if constexpr (with_densities)
                                                 densities_[first + k] = densities[k * stride];
                                             }
                                           });
  }

  void sort_clusters(const Number* sorted, int64_t count, double regularization_strength) {
    for_each_cluster(sorted, count, regularization_strength, solver_.widest_gap(),
                     [&](int64_t begin, int64_t end) {
                       if (end - begin == 1) return take(sorted[begin], begin);
                       solver_.set_sorted(sorted + begin, end - begin, regularization_strength);
                       solve(0, end - begin, begin);
                     });
  }

  /// An item with none within reach.
  void take(Number value, int64_t place) {
    values_[place] = static_cast<Scalar>(value);
    if (points_ != nullptr) points_[place] = value;
    if (densities_ != nullptr) densities_[place] = Cdf::first_derivative(Cdf::coordinate(0.0));
  }

  /// Neighbours that rounding has turned round become equal.
  void keep_order(int64_t count) {
    bool ascending = true;
    for (int64_t i = 1; i < count; ++i) ascending = ascending & (values_[i - 1] <= values_[i]);
    if (ascending) return;
    for (int64_t i = 1; i < count; ++i) values_[i] = std::max(values_[i], values_[i - 1]);
  }

  RowItems<Scalar> items_;
  TailNumbers<Cdf, Scalar> numbers_;
  ManyQuantiles<Cdf, Number> solver_;
  Pieces pieces_;
  typename Pieces::Workspace workspace_;
  SortedValues<Number> sorted_values_;
  Scalar* values_;
  double *points_, *densities_;  // of the finite values
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
