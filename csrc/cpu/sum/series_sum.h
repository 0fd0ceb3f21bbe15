#pragma once

#include <algorithm>
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
  void pairwise(const Summands<Scalar>& summands, int order, const Output<Scalar>& output,
                const ParallelFor& parallel_for) {
    const FiniteRow<Scalar>& row = summands.row;
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
      const Direction<Scalar>& direction = summands.directions[l];
      const double scale = direction.scale;
      for (int64_t i = 0; i < count; ++i) direction_row[i] = scale * direction.values[i];
    }
    const PairwiseSum<Cdf> pairs({values, count, row.minimum, row.maximum},
                                 summands.regularization_strength, direction_rows, order,
                                 workspace);
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
  void one_box(const Summands<Scalar>& summands, const Output<Scalar>& output,
               const ParallelFor& parallel_for) {
    const double strength = summands.regularization_strength;
    const OneBoxSeries& series = one_box_series<Cdf>(
        kPrecision, kOrder, one_box_terms_at<Cdf>(kPrecision, kOrder, summands.spread(), strength));
    if constexpr (sizeof(Scalar) == 4) {
      const double scale = strength / series.half_width;
      const bool in_range = 1e-30 < scale && scale < 1e30;  // coordinates in float32
      if (!in_range) return one_box_in_double<Cdf, kOrder>(summands, output, parallel_for);
    }
    if (OneBox<Scalar, kOrder>(summands, series).sum(summands, output, parallel_for)) return;
    without_one_box<Cdf, kOrder>(summands, output, parallel_for);
  }

  template <class Cdf, int kOrder>
  void many_boxes(const Summands<Scalar>& summands, const Output<Scalar>& output,
                  const ParallelFor& parallel_for) {
    const int64_t count = summands.row.count;
    std::get<kOrder>(many_boxes_)
        .sum(summands, {0, count}, grid_kernel<Cdf>(kPrecision, kOrder, count),
             ManyBoxes<Scalar, kOrder>::kMostParts, output, parallel_for);
  }

  /// A row that has a box, but not one that is precise or wide enough.
  template <class Cdf, int kOrder>
  void without_one_box(const Summands<Scalar>& summands, const Output<Scalar>& output,
                       const ParallelFor& parallel_for) {
    if constexpr (kHasGrid<Cdf>) {
      many_boxes<Cdf, kOrder>(summands, output, parallel_for);
    } else {
      pairwise<Cdf>(summands, kOrder, output, parallel_for);
    }
  }

  /// Over all of a part of a row, at its items in `targets`, with no memory but that of its boxes.
  template <class Cdf, int kOrder>
  void stretch_of_boxes(const Summands<Scalar>& summands, Range targets,
                        const Output<Scalar>& output) {
    std::get<kOrder>(many_boxes_)
        .sum(summands, targets, grid_kernel<Cdf>(kPrecision, kOrder, summands.row.count), 1, output,
             in_this_thread);
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
  void one_box_in_double(const Summands<Scalar>& summands, const Output<Scalar>& output,
                         const ParallelFor& parallel_for) {
    const FiniteRow<Scalar>& row = summands.row;
    const int64_t count = row.count;
    doubles_.resize((kOrder + 2) * count);
    double* values = doubles_.data();
    double* sums = values + count;
    std::copy(row.values, row.values + count, values);
    Direction<double> directions[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) {
      const Direction<Scalar>& direction = summands.directions[l];
      double* direction_row = sums + (l + 1) * count;
      std::copy(direction.values, direction.values + count, direction_row);
      directions[l] = {direction_row, direction.scale, direction.center};
    }
    const Summands<double> wide = {
        {values, count, row.minimum, row.maximum}, summands.regularization_strength, directions};
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    SeriesSum<double> in_double;
    const Output<double> raw = {sums, 1, 0, -kInfinity, kInfinity, output.base, 1, output.counts};
    if (one_box_terms<Cdf>(kDouble, kOrder, wide.spread()) > 0) {
      in_double.template one_box<Cdf, kOrder>(wide, raw, parallel_for);
    } else {
      in_double.template without_one_box<Cdf, kOrder>(wide, raw, parallel_for);
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
