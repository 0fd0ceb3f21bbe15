#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "cpu/inverse/many_quantiles.h"
#include "cpu/inverse/quantile_search.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Finds the points at levels of one row after another, with the memory that this needs. Those of
/// float32 are what its series keep: but for an error of its rounding beside 1/α where G is not
/// flat, and in a wide gap anywhere in its middle.
template <class Cdf, class Scalar>
class LevelSolver {
  using Number = TailNumber<Cdf, Scalar>;
  static constexpr int64_t kFewestItemsOfAGrid = 32;
  static constexpr int64_t kFewestLevelsOfASort = 8;

 public:
  /// take(l, point, density) for every one of `number` ascending levels, 0 < level < row.count;
  /// the density is Σ_j F'(α (y - x_j)) if wanted, else 0.
  template <bool with_densities, class Take>
  void solve(const FiniteRow<Scalar>& row, const double* levels, int64_t number,
             double regularization_strength, const Take& take, const ParallelFor& parallel_for) {
    levels_ = levels;
    number_ = number;
    const Search search(row, regularization_strength, parallel_for);
    if constexpr (kHasGrid<Cdf>) {
      solve_by_grid<with_densities>(row, search, regularization_strength, take, parallel_for);
    } else if constexpr (kIsExponential<Cdf>) {
      solver_.set_sorted(sorted_values_.of(row.values, row.count), row.count,
                         regularization_strength);
      march<with_densities>(0, number, 0, search, take);
    } else {
      parallel_for(number, 1, [&](int64_t begin, int64_t end) {
        find_each<with_densities>(begin, end, search, take);
      });
    }
  }

 private:
  using Search = QuantileSearch<Cdf, Scalar>;

  template <bool with_densities, class Take>
  void solve_by_grid(const FiniteRow<Scalar>& row, const Search& search,
                     double regularization_strength, const Take& take,
                     const ParallelFor& parallel_for) {
    const int64_t number = number_;
    if (row.count >= kFewestItemsOfAGrid &&
        solver_.set_grid(numbers_.of(row), regularization_strength, parallel_for)) {
      return march<with_densities>(0, number, 0, search, take);
    }
    if (number < kFewestLevelsOfASort) return find_each<with_densities>(0, number, search, take);
    const Number* sorted = sorted_values_.of(numbers_.of(row).values, row.count);
    int64_t done = 0;
    for_each_cluster(sorted, row.count, regularization_strength, solver_.widest_gap(),
                     [&](int64_t begin, int64_t end) {
                       const int64_t first = levels_until(static_cast<double>(begin), true, done);
                       // Whole levels between two clusters.
                       find_each<with_densities>(done, first, search, take);
                       done = levels_until(static_cast<double>(end), false, first);
                       solver_.set_sorted(sorted + begin, end - begin, regularization_strength);
                       march<with_densities>(first, done, begin, search, take);
                     });
  }

  /// How many levels are below a bound, or not above it; at least `from`.
  int64_t levels_until(double bound, bool inclusive, int64_t from) const {
    auto i = from;
    while (i < number_ && (levels_[i] < bound || (inclusive && levels_[i] == bound))) ++i;
    return i;
  }

  template <bool with_densities, class Take>
  void march(int64_t begin, int64_t end, int64_t offset, const Search& search, const Take& take) {
    solver_.template solve<with_densities>(
        begin, end, [&](int64_t i) { return levels_[i] - static_cast<double>(offset); },
        [&](int64_t i, int64_t number, const double* points, const double* densities) {
          for (int64_t k = 0; k < number; ++k) {
            if (std::isnan(points[k])) {
              find_each<with_densities>(i + k, i + k + 1, search, take);
            } else {
              take(i + k, points[k], with_densities ? densities[k] : 0);
            }
          }
        });
  }

  template <bool with_densities, class Take>
  void find_each(int64_t begin, int64_t end, const Search& search, const Take& take) {
    for (int64_t i = begin; i < end; ++i) {
      const double point = search(levels_[i]);
      take(i, point, with_densities ? search.density_at(point) : 0);
    }
  }

  TailNumbers<Cdf, Scalar> numbers_;
  ManyQuantiles<Cdf, Number> solver_;
  SortedValues<Number> sorted_values_;
  const double* levels_;
  int64_t number_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
