#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "core/row/one_box_placement.h"
#include "core/row/row_counts.h"
#include "core/series/box_series.h"
#include "cpu/grid/box_translation.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/split_rank.h"
#include "cpu/sum/split_row_form.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The two stages for one part of one row. Finite items are packed into blocks, in double, so that
/// strides, masks, infinities and dtypes are dealt with in one place.
template <class Scalar, int kOrder, class Cdf>
class SplitRowSum {
  using W = Vector<double>;
  using Grid = DoubleCellGrid<double>;
  using Form = SplitRowForm<Cdf>;
  static constexpr Precision kPrecision = precision_of<Scalar>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kTerms = kGridTerms[kPrecision];
  using Translation = BoxTranslation<kTerms, kOrder>;
  static constexpr int kRow = Translation::kRow;
  static constexpr int kBlock = 64;
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

 public:
  SplitRowSum(const SplitBatch<Scalar>& batch, int64_t row)
      : row_(batch.rows[row]),
        form_(kPrecision, kOrder, row_),
        grid_(Form::extent(row_), Cdf::box_grid[kPrecision].width, row_.strength),
        input_(batch.part.input.row(row)),
        mask_(batch.part.mask.row(row)) {
    for (int l = 0; l < kOrder; ++l) {
      directions_[l] = batch.directions[l].row(row);
      centers_[l] = batch.centers[row * kOrder + l];
    }
    if (form_.terms == 0) return;
    one_box_ = &one_box_series<Cdf>(kPrecision, kOrder, form_.terms);
    const OneBoxPlacement<double> middle(row_.minimum, row_.maximum);
    middle_ = middle.center;
    rest_ = middle.rest;
    half_width_ = one_box_->half_width;
  }

  /// Adds the moments of the items from `begin` to `end`.
  void add_moments(int64_t begin, int64_t end, double* moments) const {
    if (!has_items()) return;
    for_each_block(
        begin, end,
        [&](const Block& block) {
          if (form_.terms > 0) {
            add_block_in_one_box(block, moments);
          } else {
            add_block_on_grid(block, moments);
          }
        },
        [](int64_t, double) {});
  }

  /// What every item needs of the row's moments.
  void set_moments(const double* moments, const double* counts, const ParallelFor& parallel_for) {
    const RowCounts row = {counts[0], counts[1], counts[2]};
    scale_ = 1 / row.others();
    for (int l = 0; l < kOrder; ++l) scale_ *= row_.strength;
    from_infinities_ = kOrder == 0 ? row.finite_from_middle() * scale_ : 0;
    at_below_ = kOrder == 0 ? row.below_from_middle() * scale_ : 0;
    at_above_ = kOrder == 0 ? row.above_from_middle() * scale_ : 0;
    if (!has_items()) return;
    if (form_.terms > 0) return translate_one_box(moments);
    local_.assign(form_.boxes * kRow, 0.0);
    translation_.set_moments(grid_series<Cdf>(kPrecision, kOrder),
                             boxes_within_reach<Cdf>(kPrecision, static_cast<int64_t>(row.finite)),
                             moments, form_.boxes);
    constexpr int64_t kBoxesWorthAThread = 64;
    parallel_for(form_.boxes, kBoxesWorthAThread, [&](int64_t first, int64_t last) {
      for (int64_t box = first; box < last; ++box) {
        if (!translation_.is_empty(box)) {
          translation_.local_series(box, local_.data() + box * kRow);
        }
      }
    });
  }

  /// Writes the derivative at the items from `begin` to `end`.
  void evaluate(int64_t begin, int64_t end, double* output) const {
    for_each_block(
        begin, end,
        [&](const Block& block) {
          double sums[kBlock];
          if (!has_items()) {
            std::fill_n(sums, kBlock, kNan);
          } else if (form_.terms > 0) {
            evaluate_in_one_box(block, sums);
          } else {
            evaluate_on_grid(block, sums);
          }
          for (int i = 0; i < block.count; ++i) output[block.item[i]] = finish(sums[i]);
        },
        [&](int64_t i, double value) {
          output[i] = std::isnan(value) ? kNan : (value < 0 ? at_below_ : at_above_);
        },
        [&](int64_t i) { output[i] = 0; });
  }

 private:
  /// Some finite items that count, filled up with others of weight 0.
  struct Block {
    int count;
    alignas(64) double values[kBlock];
    alignas(64) double directions[std::max(kOrder, 1)][kBlock];  // centred
    int64_t item[kBlock];

    /// The weights of a set, in the order of weighted_sums.h.
    [[gnu::always_inline]] double weight(int set, int i) const {
      double weight = i < count ? 1 : 0;
      for (int l = 0; l < kOrder; ++l) {
        if (set >> l & 1) weight *= directions[l][i];
      }
      return weight;
    }
  };

  /// Whether the row was said to have finite items: if not, those that are found have NaN.
  bool has_items() const { return form_.terms > 0 || form_.boxes > 0; }

  struct Ignore {
    void operator()(int64_t) const {}
  };

  template <class OnBlock, class OnOther, class OnMasked = Ignore>
  void for_each_block(int64_t begin, int64_t end, const OnBlock& on_block, const OnOther& on_other,
                      const OnMasked& on_masked = {}) const {
    Block block;
    block.count = 0;
    for (int64_t i = begin; i < end; ++i) {
      if (mask_.data != nullptr && mask_[i] == 0) {
        on_masked(i);
        continue;
      }
      const double value = input_[i];
      if (!std::isfinite(value)) {
        on_other(i, value);
        continue;
      }
      block.values[block.count] = value;
      for (int l = 0; l < kOrder; ++l) {
        block.directions[l][block.count] = directions_[l][i] - centers_[l];
      }
      block.item[block.count] = i;
      if (++block.count == kBlock) {
        on_block(block);
        block.count = 0;
      }
    }
    if (block.count == 0) return;
    for (int i = block.count; i < kBlock; ++i) {
      block.values[i] = row_.minimum;  // whose box has a series
      for (int l = 0; l < kOrder; ++l) block.directions[l][i] = 0;
    }
    on_block(block);
  }

  /// The local coordinates in the row's only box.
  void place_in_one_box(const Block& block, double* t) const {
    for (int i = 0; i < kBlock; ++i) {
      const double from_middle = (block.values[i] - middle_) - rest_;
      const double coordinate = from_middle * row_.strength / half_width_;
      t[i] = std::min(std::max(coordinate, -1.0), 1.0);
    }
  }

  /// moments[set][l] += Σ w T_l(t)
  void add_block_in_one_box(const Block& block, double* moments) const {
    alignas(64) double t[kBlock], weights[kSets][kBlock], previous[kBlock], current[kBlock];
    place_in_one_box(block, t);
    for (int i = 0; i < kBlock; ++i) {
      for (int set = 0; set < kSets; ++set) weights[set][i] = block.weight(set, i);
      previous[i] = t[i];  // T_{-1} = T_1
      current[i] = 1;
    }
    for (int l = 0; l < form_.terms; ++l) {
      W sums[kSets];
      for (W& sum : sums) sum = W::broadcast(0);
      for (int i = 0; i < kBlock; i += W::kLanes) {
        const W polynomial = W::load(current + i);
        for (int set = 0; set < kSets; ++set) {
          sums[set] = multiply_add(W::load(weights[set] + i), polynomial, sums[set]);
        }
        const W twice = W::load(t + i) + W::load(t + i);
        const W next = multiply_subtract(twice, polynomial, W::load(previous + i));
        polynomial.store(previous + i);
        next.store(current + i);
      }
      for (int set = 0; set < kSets; ++set) {
        moments[set * form_.terms + l] += sum_of_lanes(sums[set]);
      }
    }
  }

  /// local[set][k] = Σ_l c[l][k] M[set][l]
  void translate_one_box(const double* moments) {
    const int terms = form_.terms;
    local_.assign(kSets * terms, 0.0);
    for (int set = 0; set < kSets; ++set) {
      for (int l = 0; l < terms; ++l) {
        const double* series = one_box_->coefficients.data() + l * one_box_->row_size;
        for (int k = 0; k < terms; ++k) {
          local_[set * terms + k] += series[k] * moments[set * terms + l];
        }
      }
    }
  }

  /// By Clenshaw's recurrence.
  void evaluate_in_one_box(const Block& block, double* sums) const {
    alignas(64) double t[kBlock];
    place_in_one_box(block, t);
    for (int i = 0; i < kBlock; i += W::kLanes) {
      const W at = W::load(t + i), twice = at + at;
      W of_sets[kSets];
      for (int set = 0; set < kSets; ++set) {
        const double* local = local_.data() + set * form_.terms;
        W first = W::broadcast(0), second = W::broadcast(0);
        for (int k = form_.terms; k-- > 1;) {
          const W next = multiply_add(twice, first, W::broadcast(local[k]) - second);
          second = first;
          first = next;
        }
        of_sets[set] = multiply_add(at, first, W::broadcast(local[0]) - second);
      }
      combined(block, i, of_sets).store(sums + i);
    }
  }

  void place_on_grid(const Block& block, int32_t* offsets, double* t) const {
    for (int i = 0; i < kBlock; i += W::kLanes) {
      grid_.template place<kRow>(block.values + i, offsets + i).store(t + i);
    }
  }

  /// moments[box][set][l] += w t^l, one item after the other, its powers across lanes.
  void add_block_on_grid(const Block& block, double* moments) const {
    alignas(64) double t[kBlock];
    int32_t offsets[kBlock];
    place_on_grid(block, offsets, t);
    constexpr int kVectors = kTerms / W::kLanes;
    for (int i = 0; i < block.count; ++i) {
      const double t2 = t[i] * t[i], t4 = t2 * t2;
      const double step = W::kLanes == 8 ? t4 * t4 : (W::kLanes == 4 ? t4 : t2);
      double weights[kSets];
      for (int set = 1; set < kSets; ++set) weights[set] = block.weight(set, i);
      W powers = W::first_powers(t[i], t2, t4);
      unroll<kVectors>([&](auto v) {
        double* at = moments + offsets[i] + v * W::kLanes;
        (W::load(at) + powers).store(at);
        unroll<kSets - 1>([&](auto other) {
          double* weighted = at + (other + 1) * kTerms;
          multiply_add(powers, W::broadcast(weights[other + 1]), W::load(weighted)).store(weighted);
        });
        if (v + 1 < kVectors) powers = powers * W::broadcast(step);
      });
    }
  }

  /// By Horner's rule, an item a lane.
  void evaluate_on_grid(const Block& block, double* sums) const {
    alignas(64) double t[kBlock];
    int32_t offsets[kBlock];
    place_on_grid(block, offsets, t);
    for (int i = 0; i < kBlock; i += W::kLanes) {
      const W at = W::load(t + i);
      W of_sets[kSets];
      for (int set = 0; set < kSets; ++set) {
        W columns[kTerms];
        W::template load_columns<kTerms>(local_.data() + set * kTerms, 1, offsets + i, columns);
        W sum = columns[kTerms - 1];
        unroll<kTerms - 1>([&](auto k) { sum = multiply_add(sum, at, columns[kTerms - 2 - k]); });
        of_sets[set] = sum;
      }
      combined(block, i, of_sets).store(sums + i);
    }
  }

  [[gnu::always_inline]] W combined(const Block& block, int i, const W* of_sets) const {
    W at[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) at[l] = W::load(block.directions[l] + i);
    return combine<kOrder>(of_sets, at);
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
  Form form_;
  Grid grid_;
  Row<Scalar> input_;
  Row<uint8_t> mask_;
  Row<double> directions_[std::max(kOrder, 1)];
  double centers_[std::max(kOrder, 1)];
  const OneBoxSeries* one_box_ = nullptr;
  double middle_ = 0, rest_ = 0, half_width_ = 1;  // what the middle was rounded by
  double scale_ = 0, from_infinities_ = 0, at_below_ = 0, at_above_ = 0;
  std::vector<double> local_;  // [set][term] in one box, [box][set][term] on a grid
  Translation translation_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
