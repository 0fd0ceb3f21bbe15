#pragma once

#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/row/row_form.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/series_sum.h"
#include "cpu/sum/sorted_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The kernel sums of one row after another, each in the form that suits it, with the memory they
/// need:
///
///     order 0:   sum_i = Σ_j F(α (x_i - x_j)) - 1/2
///     order k:   sum_i = Σ_j Π_{l<k} (v_l[i] - v_l[j]) F^(k)(α (x_i - x_j))
template <class Scalar>
class KernelSum {
 public:
  template <class Cdf>
  void sum(const Summands<Scalar>& summands, int order, const Output<Scalar>& output,
           const ParallelFor& parallel_for) {
    if (order == 0) {
      sum_of_order<Cdf, 0>(summands, output, parallel_for);
    } else if (order == 1) {
      sum_of_order<Cdf, 1>(summands, output, parallel_for);
    } else if (order == 2) {
      sum_of_order<Cdf, 2>(summands, output, parallel_for);
    } else {
      series_sum_.template pairwise<Cdf>(summands, order, output, parallel_for);
    }
  }

  /// The kernel sum of an order known to the compiler, which then makes no other.
  template <class Cdf, int kOrder>
  void sum_of_order(const Summands<Scalar>& summands, const Output<Scalar>& output,
                    const ParallelFor& parallel_for) {
    switch (row_form<Cdf>(precision_of<Scalar>, kOrder, summands.row.count, summands.spread(),
                          Vector<Scalar>::kLooksUp)) {
      case RowForm::kPairwise:
        return series_sum_.template pairwise<Cdf>(summands, kOrder, output, parallel_for);
      case RowForm::kOneBox:
        if constexpr (kHasOneBox<Cdf>) {
          series_sum_.template one_box<Cdf, kOrder>(summands, output, parallel_for);
        }
        return;
      case RowForm::kManyBoxes:
        if constexpr (kHasGrid<Cdf>) {
          series_sum_.template many_boxes<Cdf, kOrder>(summands, output, parallel_for);
        }
        return;
      case RowForm::kSorted:
        if constexpr (kFallsExponentially<Cdf>) {
          sorted_row_.template sum<Cdf, kOrder>(summands, output, series_sum_, parallel_for);
        }
        return;
    }
  }

 private:
  SeriesSum<Scalar> series_sum_;
  SortedRow<Scalar> sorted_row_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
