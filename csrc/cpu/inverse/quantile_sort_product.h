#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/row_items.h"
#include "cpu/row/rows.h"
#include "cpu/soft_sort.h"
#include "cpu/sum/sum_at_points.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Products with the Jacobian of soft sorted values, of one row after another, as cpu/soft_sort.h
/// says: places are those of the sorted values, items those of the row.
template <class Cdf, class Scalar>
class QuantileSortProductRow {
  static constexpr Scalar kNan = std::numeric_limits<Scalar>::quiet_NaN();

 public:
  /// Borrows the points of the row's places, and their densities.
  void set_row(const MaskedRow<Scalar>& row, const SortedPoints& sorted,
               const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    const FiniteRow<Scalar>& finite = items_.finite();
    values_.assign(finite.values, finite.values + finite.count);
    points_ = sorted.points + items_.below();
    densities_ = sorted.densities + items_.below();
    weights_.resize(finite.count);
    sums_.resize(finite.count);
  }

  /// Σ_k g_k J_kj
  void to_items(Row<Scalar> places, double regularization_strength, Scalar* output,
                const ParallelFor& parallel_for) {
    const int64_t count = items_.finite().count;
    find_densities(regularization_strength, parallel_for);
    for (int64_t k = 0; k < count; ++k) {
      weights_[k] = places[items_.below() + k] / densities_[k];
    }
    sum_.set_lists({values_.data(), count}, {points_, count}, regularization_strength);
    sum_.template sum<1>(weights_.data(), sums_.data(), parallel_for);
    const double* sum = sums_.data();
    for (int64_t i = 0; i < items_.size(); ++i) {
      const Kind kind = items_.kind(i);
      output[i] = kind == Kind::kFinite ? static_cast<Scalar>(*sum++)
                                        : (kind == Kind::kNan ? kNan : Scalar(0));
    }
  }

  /// Σ_j J_kj v_j
  void to_places(Row<Scalar> items, double regularization_strength, Scalar* output,
                 const ParallelFor& parallel_for) {
    const int64_t count = items_.finite().count;
    find_densities(regularization_strength, parallel_for);
    double* weight = weights_.data();
    for (int64_t i = 0; i < items_.size(); ++i) {
      if (items_.kind(i) == Kind::kFinite) *weight++ = items[i];
    }
    sum_.set_lists({points_, count}, {values_.data(), count}, regularization_strength);
    sum_.template sum<1>(weights_.data(), sums_.data(), parallel_for);
    std::fill_n(output, items_.size(), Scalar(0));
    std::fill(output + items_.counted(), output + items_.unmasked(), kNan);
    Scalar* finite = output + items_.below();
    for (int64_t k = 0; k < count; ++k) finite[k] = static_cast<Scalar>(sums_[k] / densities_[k]);
  }

 private:
  /// The forward's densities are those at its points while a double shows the place of a point in a
  /// box. Further out the points have been moved by more, and have others.
  void find_densities(double regularization_strength, const ParallelFor& parallel_for) {
    const int64_t count = items_.finite().count;
    if (count == 0) return;
    constexpr double kFar = 1e12;
    const double largest = std::max(std::abs(points_[0]), std::abs(points_[count - 1]));
    if (largest * regularization_strength < kFar) return;
    weights_.assign(count, 1);
    own_densities_.resize(count);
    sum_.set_lists({points_, count}, {values_.data(), count}, regularization_strength);
    sum_.template sum<1>(weights_.data(), own_densities_.data(), parallel_for);
    densities_ = own_densities_.data();
  }

  RowItems<Scalar> items_;
  const double *points_, *densities_;  // of the finite values
  std::vector<double> values_, own_densities_, weights_, sums_;
  SumAtPoints<Cdf, kDouble, Tails::kBesideNear> sum_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
