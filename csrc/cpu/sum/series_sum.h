#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/row/row_form.h"
#include "core/series/box_series.h"
#include "core/sum/pairwise_sum.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/many_boxes.h"
#include "cpu/sum/one_box.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The kernel sums of rows in the forms that take the values in any order.
template <class Scalar>
class SeriesSum {
  static constexpr Precision kPrecision = precision_of<Scalar>;

 public:
  template <class Cdf>
  void pairwise(const FiniteRow<Scalar>& row, double regularization_strength,
                const Direction<Scalar>* directions, int order, const Output<Scalar>& output,
                const ParallelFor& parallel_for) {
    const int64_t count = row.count;
    doubles_.resize((order + 3) * count);
    double* values = doubles_.data();
    double* workspace = values + count;
    double* sums = workspace + count;
    std::copy(row.values, row.values + count, values);
    const double* direction_rows[SmoothCdfs::kMaxOrder];
    for (int l = 0; l < order; ++l) {
      double* direction_row = sums + (l + 1) * count;
      direction_rows[l] = direction_row;
      // Not centred: the sums are of differences.
      const double scale = directions[l].scale;
      for (int64_t i = 0; i < count; ++i) direction_row[i] = scale * directions[l].values[i];
    }
    const PairwiseSum<Cdf> pairs({values, count, row.minimum, row.maximum}, regularization_strength,
                                 direction_rows, order, workspace);
    constexpr int64_t kPairsWorthAThread = 1 << 16;
    const int64_t grain = std::max<int64_t>(kPairsWorthAThread / count, 1);
    if (count <= grain) {
      pairs.sum(0, count, sums);
    } else {
      parallel_for(count, grain, [&](int64_t begin, int64_t end) { pairs.sum(begin, end, sums); });
    }
    finish_in_double(sums, count, output);
  }

  template <class Cdf, int kOrder>
  void one_box(const FiniteRow<Scalar>& row, double regularization_strength,
               const Direction<Scalar>* directions, const Output<Scalar>& output,
               const ParallelFor& parallel_for) {
    int terms = one_box_terms<Cdf>(kPrecision, kOrder, scaled_spread(row, regularization_strength));
    // At the strongest α a wider box, so that α / half_width does not overflow.
    while (std::isinf(regularization_strength /
                      one_box_series<Cdf>(kPrecision, kOrder, terms).half_width)) {
      terms += kTermStep;
    }
    const OneBoxSeries& series = one_box_series<Cdf>(kPrecision, kOrder, terms);
    if constexpr (sizeof(Scalar) == 4) {
      const double scale = regularization_strength / series.half_width;
      const bool in_range = 1e-30 < scale && scale < 1e30;  // coordinates in float32
      if (!in_range) {
        return one_box_in_double<Cdf, kOrder>(row, regularization_strength, directions, output,
                                              parallel_for);
      }
    }
    if (OneBox<Scalar, kOrder>(row, regularization_strength, directions, series)
            .sum(output, parallel_for)) {
      return;
    }
    without_one_box<Cdf, kOrder>(row, regularization_strength, directions, output, parallel_for);
  }

  template <class Cdf, int kOrder>
  void many_boxes(const FiniteRow<Scalar>& row, double regularization_strength,
                  const Direction<Scalar>* directions, const Output<Scalar>& output,
                  const ParallelFor& parallel_for) {
    std::get<kOrder>(many_boxes_)
        .sum(row, {0, row.count}, regularization_strength, directions,
             grid_series<Cdf>(kPrecision, kOrder), boxes_within_reach<Cdf>(kPrecision, row.count),
             ManyBoxes<Scalar, kOrder>::kMostParts, output, parallel_for);
  }

  /// A row that has a box, but not one that is precise or wide enough.
  template <class Cdf, int kOrder>
  void without_one_box(const FiniteRow<Scalar>& row, double regularization_strength,
                       const Direction<Scalar>* directions, const Output<Scalar>& output,
                       const ParallelFor& parallel_for) {
    if constexpr (kHasGrid<Cdf>) {
      many_boxes<Cdf, kOrder>(row, regularization_strength, directions, output, parallel_for);
    } else {
      pairwise<Cdf>(row, regularization_strength, directions, kOrder, output, parallel_for);
    }
  }

  /// Over all of a part of a row, at its items in `targets`, with no memory but that of its boxes.
  template <class Cdf, int kOrder>
  void stretch_of_boxes(const FiniteRow<Scalar>& row, Range targets, double regularization_strength,
                        const Direction<Scalar>* directions, const Output<Scalar>& output) {
    std::get<kOrder>(many_boxes_)
        .sum(row, targets, regularization_strength, directions,
             grid_series<Cdf>(kPrecision, kOrder), boxes_within_reach<Cdf>(kPrecision, row.count),
             1, output, in_this_thread);
  }

 private:
  static void finish_in_double(const double* sums, int64_t count, const Output<Scalar>& output) {
    const double scale = output.scale, shift = output.shift;
    for (int64_t i = 0; i < count; ++i) {
      const double value = scale * (output.unit * (sums[i] + output.base)) + shift;
      output.values[i] = static_cast<Scalar>(value < output.lowest    ? output.lowest
                                             : value > output.highest ? output.highest
                                                                      : value);
    }
  }

  template <class Cdf, int kOrder>
  void one_box_in_double(const FiniteRow<Scalar>& row, double regularization_strength,
                         const Direction<Scalar>* directions, const Output<Scalar>& output,
                         const ParallelFor& parallel_for) {
    const int64_t count = row.count;
    doubles_.resize((kOrder + 2) * count);
    double* values = doubles_.data();
    double* sums = values + count;
    std::copy(row.values, row.values + count, values);
    Direction<double> wide[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) {
      double* direction_row = sums + (l + 1) * count;
      std::copy(directions[l].values, directions[l].values + count, direction_row);
      wide[l] = {direction_row, directions[l].scale, directions[l].center};
    }
    const FiniteRow<double> wide_row = {values, count, row.minimum, row.maximum};
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    SeriesSum<double> in_double;
    const Output<double> raw = {sums, 1, 0, -kInfinity, kInfinity, output.base, 1, output.counts};
    if (one_box_terms<Cdf>(kDouble, kOrder, scaled_spread(row, regularization_strength)) > 0) {
      in_double.template one_box<Cdf, kOrder>(wide_row, regularization_strength, wide, raw,
                                              parallel_for);
    } else {
      in_double.template without_one_box<Cdf, kOrder>(wide_row, regularization_strength, wide, raw,
                                                      parallel_for);
    }
    Output<Scalar> rest = output;
    rest.base = 0;
    finish_in_double(sums, count, rest);
  }

  std::vector<double> doubles_;
  std::tuple<ManyBoxes<Scalar, 0>, ManyBoxes<Scalar, 1>, ManyBoxes<Scalar, 2>>
      many_boxes_;  // by order
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
