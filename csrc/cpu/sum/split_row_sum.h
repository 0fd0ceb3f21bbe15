#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/cdf/smooth_cdfs.h"
#include "core/row/row_counts.h"
#include "core/row/split_row_form.h"
#include "core/series/box_series.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/split_rank.h"
#include "cpu/sum/many_boxes.h"
#include "cpu/sum/one_box.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The two stages for one part of one row, in the forms of one_box.h and many_boxes.h. Finite items
/// are packed a few at a time, in double, so that strides, masks, infinities and dtypes are dealt
/// with in one place.
template <class Scalar, int kOrder, class Cdf>
class SplitRowSum {
  static constexpr Precision kPrecision = precision_of<Scalar>;
  using Box = OneBox<double, kOrder>;
  using Boxes = ManyBoxes<double, kOrder, kPrecision>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kMostPacked = 1 << 10;
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

 public:
  SplitRowSum(const SplitBatch<Scalar>& batch, int64_t row)
      : row_(batch.rows[row]),
        form_(kPrecision, kOrder, row_),
        grid_(packed_row(nullptr, 0), Cdf::box_grid[kPrecision].width,
              row_.regularization_strength),
        input_(batch.part.input.row(row)),
        mask_(batch.part.mask.row(row)) {
    for (int l = 0; l < kOrder; ++l) {
      directions_[l] = batch.directions[l].row(row);
      centers_[l] = batch.centers[row * kOrder + l];
    }
    if (form_.terms == 0) return;
    box_.emplace(Summands<double>{packed_row(nullptr, 0), row_.regularization_strength},
                 one_box_series<Cdf>(kPrecision, kOrder, form_.terms));
  }

  /// Adds the moments of the items from `begin` to `end`.
  void add_moments(int64_t begin, int64_t end, double* moments) const {
    if (form_.numbers == 0) return;
    pack(
        begin, end,
        [&](const Summands<double>& packed, const int64_t*) {
          if (!box_) return Boxes::add_moments(grid_, packed, moments);
          typename Box::Moments more;
          box_->find_moments(packed, 0, packed.row.count, more);
          for (int set = 0; set < kSets; ++set) {
            double* to = moments + set * form_.terms;
            for (int l = 0; l < form_.terms; ++l) to[l] += more.of[set][l];
          }
        },
        [](int64_t, double) {}, [](int64_t) {});
  }

  /// What every item needs of the row's moments.
  void set_moments(const double* moments, const double* counts, const ParallelFor& parallel_for) {
    const RowCounts row = {counts[0], counts[1], counts[2]};
    scale_ = 1 / row.others();
    for (int l = 0; l < kOrder; ++l) scale_ *= row_.regularization_strength;
    from_infinities_ = kOrder == 0 ? row.finite_from_middle() * scale_ : 0;
    at_below_ = kOrder == 0 ? row.below_from_middle() * scale_ : 0;
    at_above_ = kOrder == 0 ? row.above_from_middle() * scale_ : 0;
    if (form_.numbers == 0) return;
    const Output<double> output = sums_to(nullptr);
    if (!box_) {
      const auto finite = static_cast<int64_t>(row.finite);
      return boxes_.translate(grid_kernel<Cdf>(kPrecision, kOrder, finite), moments, form_.boxes,
                              output, parallel_for);
    }
    typename Box::Moments whole;
    for (int set = 0; set < kSets; ++set) {
      std::copy_n(moments + set * form_.terms, form_.terms, whole.of[set]);
    }
    box_->translate(whole, output);
  }

  /// Writes the derivative at the items from `begin` to `end`.
  void evaluate(int64_t begin, int64_t end, double* output) const {
    pack(
        begin, end,
        [&](const Summands<double>& packed, const int64_t* items) {
          const int64_t count = packed.row.count;
          alignas(64) double sums[kMostPacked];
          if (form_.numbers == 0) {  // the row was said to have no finite items
            std::fill_n(sums, count, kNan);
          } else if (box_) {
            box_->evaluate(packed, 0, count, sums_to(sums));
          } else {
            boxes_.evaluate(grid_, packed, {0, count}, sums_to(sums));
          }
          for (int64_t i = 0; i < count; ++i) output[items[i]] = finish(sums[i]);
        },
        [&](int64_t i, double value) {
          output[i] = std::isnan(value) ? kNan : (value < 0 ? at_below_ : at_above_);
        },
        [&](int64_t i) { output[i] = 0; });
  }

 private:
  /// Of the whole row's extent.
  FiniteRow<double> packed_row(const double* values, int64_t count) const {
    if (!row_.has_items()) return {values, count, 0, 0};
    return {values, count, row_.minimum, row_.maximum};
  }

  static Output<double> sums_to(double* sums) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return {sums, 1, 0, -kInfinity, kInfinity};
  }

  /// on_packed(summands, their items) for the finite items, some at a time; on_other(item, value)
  /// for those that aren't finite, on_masked(item) for those that don't count.
  template <class OnPacked, class OnOther, class OnMasked>
  void pack(int64_t begin, int64_t end, const OnPacked& on_packed, const OnOther& on_other,
            const OnMasked& on_masked) const {
    alignas(64) double values[kMostPacked], at[std::max(kOrder, 1)][kMostPacked];
    int64_t items[kMostPacked];
    Direction<double> directions[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) directions[l] = {at[l], 1, centers_[l]};
    for (int64_t i = begin; i < end;) {
      int64_t count = 0;
      for (; i < end && count < kMostPacked; ++i) {
        if (mask_.data != nullptr && mask_[i] == 0) {
          on_masked(i);
          continue;
        }
        const double value = input_[i];
        if (!std::isfinite(value)) {
          on_other(i, value);
          continue;
        }
        values[count] = value;
        for (int l = 0; l < kOrder; ++l) at[l][count] = directions_[l][i];
        items[count++] = i;
      }
      if (count == 0) return;
      on_packed({packed_row(values, count), row_.regularization_strength, directions}, items);
    }
  }

  double finish(double sum) const {
    if constexpr (kOrder == 0) {
      // A row of equal items is exact.
      const double centered = row_.minimum == row_.maximum ? 0 : sum * scale_;
      return std::min(std::max(centered + from_infinities_, -0.5), 0.5);
    } else {
      return sum == 0 ? 0 : sum * scale_;  // a saturated row stays 0 though α^k may overflow
    }
  }

  WholeRow row_;
  SplitRowForm<Cdf> form_;
  DoubleCellGrid<double> grid_;
  Row<Scalar> input_;
  Row<uint8_t> mask_;
  Row<double> directions_[std::max(kOrder, 1)];
  double centers_[std::max(kOrder, 1)];
  std::optional<Box> box_;  // else a grid
  Boxes boxes_;
  double scale_ = 0, from_infinities_ = 0, at_below_ = 0, at_above_ = 0;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
