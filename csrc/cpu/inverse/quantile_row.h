#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "cpu/aligned_array.h"
#include "cpu/inverse/quantile_by_level.h"
#include "cpu/inverse/quantile_march.h"
#include "cpu/inverse/quantile_scan.h"
#include "cpu/inverse/quantile_search.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/row_items.h"
#include "cpu/row/row_parts.h"
#include "cpu/row/rows.h"
#include "cpu/sort/radix_sort.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Calls visit(begin, end) for every cluster of ascending values: those with no gap wider than
/// `widest` in units of 1/α.
template <class Scalar, class Visit>
void for_each_cluster(const Scalar* sorted, int64_t count, double regularization_strength,
                      double widest, const Visit& visit) {
  int64_t begin = 0;
  for (int64_t end = 1; end <= count; ++end) {
    if (end < count) {
      // Halved, no difference of finite values overflows.
      const double half_gap =
          static_cast<double>(sorted[end]) / 2 - static_cast<double>(sorted[end - 1]) / 2;
      if (!(2 * (half_gap * regularization_strength) > widest)) continue;
    }
    visit(begin, end);
    begin = end;
  }
}

/// Ascending copies of finite values.
template <class Scalar>
class SortedValues {
 public:
  const Scalar* of(const Scalar* values, int64_t count) {
    sorted_.make_room(count);
    order_.make_room(count);
    spare_sorted_.make_room(count);
    spare_order_.make_room(count);
    radix_argsort(values, count, {sorted_.data(), order_.data()},
                  {spare_sorted_.data(), spare_order_.data()});
    return sorted_.data();
  }

 private:
  AlignedArray<Scalar> sorted_, spare_sorted_;
  AlignedArray<uint32_t> order_, spare_order_;
};

/// What tails are sums of: in series of float32 some CDFs keep what it shows of them.
template <class Cdf, class Scalar>
constexpr auto tail_number() {
  if constexpr (kHasGrid<Cdf>) {
    return std::conditional_t<Cdf::kTailsInSingle, Scalar, double>();
  } else {
    return Scalar();
  }
}
template <class Cdf, class Scalar>
using TailNumber = decltype(tail_number<Cdf, Scalar>());

/// The inverse at many levels, in the fastest way that a CDF has.
template <class Cdf, class Scalar>
using ManyQuantiles = std::conditional_t<
    kHasGrid<Cdf>, QuantileMarch<Cdf, Scalar>,
    std::conditional_t<kIsExponential<Cdf>, QuantileScan<Scalar>, QuantileByLevel<Cdf, Scalar>>>;

/// Soft sorted values of one row after another, with the memory that they need.
template <class Cdf, class Scalar>
class QuantileSortRow {
  using Number = TailNumber<Cdf, Scalar>;

 public:
  /// As cpu/soft_sort.h says. `points` and `densities` may be null.
  void sort(const MaskedRow<Scalar>& row, double regularization_strength, Scalar* values,
            double* points, double* densities, const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    const FiniteRow<Number> finite = finite_numbers();
    const int64_t begin = items_.below(), count = finite.count;
    place_the_others(values, points, densities);
    values_ = values + begin;
    points_ = points == nullptr ? nullptr : points + begin;
    densities_ = densities == nullptr ? nullptr : densities + begin;
    if (count == 0) return;
    if constexpr (kHasGrid<Cdf>) {
      solver_.ask_for_half_levels(count);
      if (solver_.set_grid(finite, regularization_strength, parallel_for)) {
        solve_in_parts(count, parallel_for);
      } else {
        sort_clusters(finite, regularization_strength);
      }
    } else {
      solver_.set_sorted(sorted_values_.of(finite.values, count), count, regularization_strength);
      solve_in_parts(count, parallel_for);
    }
    keep_order(count);
  }

 private:
  FiniteRow<Number> finite_numbers() {
    const FiniteRow<Scalar>& row = items_.finite();
    if constexpr (std::is_same_v<Number, Scalar>) {
      return row;
    } else {
      numbers_.assign(row.values, row.values + row.count);
      return {numbers_.data(), row.count, row.minimum, row.maximum};
    }
  }

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

  void sort_clusters(const FiniteRow<Number>& finite, double regularization_strength) {
    const Number* sorted = sorted_values_.of(finite.values, finite.count);
    for_each_cluster(sorted, finite.count, regularization_strength, solver_.widest_gap(),
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
  std::vector<Number> numbers_;
  ManyQuantiles<Cdf, Number> solver_;
  SortedValues<Number> sorted_values_;
  Scalar* values_;
  double *points_, *densities_;  // of the finite values
};

/// Finds the points at levels of one row after another, with the memory that this needs.
template <class Cdf>
class LevelSolver {
  static constexpr int64_t kFewestItemsOfAGrid = 32;
  static constexpr int64_t kFewestLevelsOfASort = 8;

 public:
  /// take(l, point) for every one of `number` ascending levels, 0 < level < row.count.
  template <class Take>
  void solve(const FiniteRow<double>& row, const double* levels, int64_t number,
             double regularization_strength, const Take& take, const ParallelFor& parallel_for) {
    levels_ = levels;
    number_ = number;
    const Search search(row, regularization_strength);
    if constexpr (kHasGrid<Cdf>) {
      solve_by_grid(row, search, regularization_strength, take, parallel_for);
    } else if constexpr (kIsExponential<Cdf>) {
      solver_.set_sorted(sorted_values_.of(row.values, row.count), row.count,
                         regularization_strength);
      march(0, number, 0, search, take);
    } else {
      parallel_for(number, 1,
                   [&](int64_t begin, int64_t end) { find_each(begin, end, search, take); });
    }
  }

 private:
  using Search = QuantileSearch<Cdf>;

  template <class Take>
  void solve_by_grid(const FiniteRow<double>& row, const Search& search,
                     double regularization_strength, const Take& take,
                     const ParallelFor& parallel_for) {
    const int64_t number = number_;
    if (row.count >= kFewestItemsOfAGrid &&
        solver_.set_grid(row, regularization_strength, parallel_for)) {
      return march(0, number, 0, search, take);
    }
    if (number < kFewestLevelsOfASort) return find_each(0, number, search, take);
    const double* sorted = sorted_values_.of(row.values, row.count);
    int64_t done = 0;
    for_each_cluster(sorted, row.count, regularization_strength, solver_.widest_gap(),
                     [&](int64_t begin, int64_t end) {
                       const int64_t first = levels_until(static_cast<double>(begin), true, done);
                       find_each(done, first, search, take);  // whole levels between two clusters
                       done = levels_until(static_cast<double>(end), false, first);
                       solver_.set_sorted(sorted + begin, end - begin, regularization_strength);
                       march(first, done, begin, search, take);
                     });
  }

  /// How many levels are below a bound, or not above it; at least `from`.
  int64_t levels_until(double bound, bool inclusive, int64_t from) const {
    auto i = from;
    while (i < number_ && (levels_[i] < bound || (inclusive && levels_[i] == bound))) ++i;
    return i;
  }

  template <class Take>
  void march(int64_t begin, int64_t end, int64_t offset, const Search& search, const Take& take) {
    solver_.template solve<false>(
        begin, end, [&](int64_t i) { return levels_[i] - static_cast<double>(offset); },
        [&](int64_t i, int64_t number, const double* points, const double*) {
          for (int64_t k = 0; k < number; ++k) {
            take(i + k, std::isnan(points[k]) ? search(levels_[i + k]) : points[k]);
          }
        });
  }

  template <class Take>
  void find_each(int64_t begin, int64_t end, const Search& search, const Take& take) {
    for (int64_t i = begin; i < end; ++i) take(i, search(levels_[i]));
  }

  ManyQuantiles<Cdf, double> solver_;
  SortedValues<double> sorted_values_;
  const double* levels_;
  int64_t number_;
};

/// The points at given levels of one row after another, in double whatever the items are.
template <class Cdf, class Scalar>
class QuantileLevelsRow {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

 public:
  /// As cpu/soft_quantile.h says.
  void find(const MaskedRow<Scalar>& row, double regularization_strength, Row<double> levels,
            int64_t level_count, double* points, const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    const FiniteRow<Scalar>& finite = items_.finite();
    const double count = static_cast<double>(finite.count);
    order_.clear();
    levels_.clear();
    for (int64_t l = 0; l < level_count; ++l) {
      const double level = levels[l] - static_cast<double>(items_.below());
      points[l] = beyond(level);
      if (0 < level && level < count) order_.push_back(l);
    }
    if (order_.empty()) return;
    std::sort(order_.begin(), order_.end(),
              [&](int64_t a, int64_t b) { return levels[a] < levels[b]; });
    for (const int64_t l : order_)
      levels_.push_back(levels[l] - static_cast<double>(items_.below()));
    values_.assign(finite.values, finite.values + finite.count);
    solver_.solve(
        {values_.data(), finite.count, finite.minimum, finite.maximum}, levels_.data(),
        static_cast<int64_t>(levels_.size()), regularization_strength,
        [&](int64_t l, double point) { points[order_[l]] = point; }, parallel_for);
  }

 private:
  /// Where no finite value has the level.
  double beyond(double level) const {
    const double count = static_cast<double>(items_.finite().count);
    if (std::isnan(level) || items_.counted() == 0) return kNan;
    if (count == 0 && level == 0) return kNan;  // between -inf and inf
    return level <= 0 ? -kInfinity : kInfinity;
  }

  RowItems<Scalar> items_;
  LevelSolver<Cdf> solver_;
  std::vector<double> values_;
  std::vector<int64_t> order_;  // of the levels that finite values have, ascending
  std::vector<double> levels_;  // these, less the number of -inf
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
