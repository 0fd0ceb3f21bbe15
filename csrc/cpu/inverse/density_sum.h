#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/series/box_series.h"
#include "cpu/aligned_array.h"
#include "cpu/grid/box_translation.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/kernel_sum.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// As many finite numbers as `count`.
struct Numbers {
  const double* values;
  int64_t count;
};

/// And what each of them weighs.
struct WeightedNumbers : Numbers {
  const double* weights;
};

/// Σ_k w_k F'(α (t_i - s_k)), sources s at targets t, in double: on a grid of boxes
///
///     moments[b][l] = Σ_{k in b} w_k s_k^l                    in coordinates of the boxes
///     local[b][m]   = Σ_{b' within reach} Σ_l c[b - b'][l][m] moments[b'][l]
///     Σ_k w_k F'(α (t_i - s_k)) = Σ_m local[box of i][m] t_i^m
///
/// where boxes are few beside the numbers. Elsewhere as a part of the derivative of a soft rank in
/// the row that holds both: with v = 0 at the targets, its Σ_j (v_i - v_j) F' is -Σ_k w_k F' there.
template <class Cdf>
class DensitySum {
  using W = Vector<double>;
  using Grid = DoubleCellGrid<double>;
  static constexpr int kTerms = kGridTerms[kDouble];
  static constexpr int kVectors = kTerms / W::kLanes;
  static constexpr int kBlock = 64;
  static constexpr int64_t kPart = 1 << 15;

 public:
  void sum(const WeightedNumbers& sources, const Numbers& targets, double regularization_strength,
           double* sums, const ParallelFor& parallel_for) {
    if (targets.count == 0) return;
    const FiniteRow<double> both = extent_of(sources, targets);
    if (!(std::isfinite(both.minimum) && std::isfinite(both.maximum))) {
      return std::fill_n(sums, targets.count, std::numeric_limits<double>::quiet_NaN()), void();
    }
    if constexpr (kHasGrid<Cdf>) {
      const double width = Cdf::box_grid[kDouble].width;
      const double boxes = scaled_spread(both, regularization_strength) / width;
      constexpr int64_t kFewestOfAGrid = 48;
      if (both.count >= kFewestOfAGrid && boxes < 64 + static_cast<double>(both.count / 8) &&
          boxes < 1 << 24) {
        const Grid grid(both, width, regularization_strength);
        return sum_on(grid, sources, targets, sums, parallel_for);
      }
    }
    sum_in_one_row(both, sources, targets, regularization_strength, sums, parallel_for);
  }

 private:
  static FiniteRow<double> extent_of(const Numbers& sources, const Numbers& targets) {
    double minimum = targets.values[0], maximum = minimum, zero = 0;
    for (const Numbers* numbers : {&sources, &targets}) {
      for (int64_t i = 0; i < numbers->count; ++i) {
        minimum = std::min(minimum, numbers->values[i]);
        maximum = std::max(maximum, numbers->values[i]);
        zero += numbers->values[i] * 0;  // NaN of what is not finite
      }
    }
    return {nullptr, sources.count + targets.count, minimum + zero, maximum};
  }

  void sum_on(const Grid& grid, const WeightedNumbers& sources, const Numbers& targets,
              double* sums, const ParallelFor& parallel_for) {
    const int64_t boxes = grid.cells();
    moments_.make_room(boxes * kTerms);
    local_.make_room(boxes * kTerms);
    std::fill_n(moments_.data(), boxes * kTerms, 0.0);
    for (int64_t i = 0; i < sources.count; i += kBlock) {
      add_block(grid, sources, i);
    }
    constexpr int64_t kBoxesWorthAThread = 256;
    translation_.set_moments(grid_kernel<Cdf>(kDouble, 1, sources.count), moments_.data(), boxes);
    parallel_for(boxes, kBoxesWorthAThread, [&](int64_t begin, int64_t end) {
      for (int64_t box = begin; box < end; ++box) {
        translation_.local_series(box, local_.data() + box * kTerms);
      }
    });
    parallel_for((targets.count + kPart - 1) / kPart, 1, [&](int64_t begin, int64_t end) {
      const int64_t last = std::min(end * kPart, targets.count);
      for (int64_t i = begin * kPart; i < last; i += W::kLanes) {
        evaluate(grid, targets.values + i, static_cast<int>(std::min<int64_t>(last - i, W::kLanes)),
                 sums + i);
      }
    });
  }

  /// The moments of sources, one after the other, their powers across lanes.
  void add_block(const Grid& grid, const WeightedNumbers& sources, int64_t first) {
    const int count = static_cast<int>(std::min<int64_t>(sources.count - first, kBlock));
    double values[kBlock], t[kBlock];
    int32_t offsets[kBlock];
    std::fill_n(values, kBlock, sources.values[first]);
    std::copy_n(sources.values + first, count, values);
    for (int i = 0; i < kBlock; i += W::kLanes) {
      grid.template place<kTerms>(values + i, offsets + i).store(t + i);
    }
    for (int i = 0; i < count; ++i) {
      const double t2 = t[i] * t[i], t4 = t2 * t2;
      const W step = W::broadcast(W::kLanes == 8 ? t4 * t4 : (W::kLanes == 4 ? t4 : t2));
      const W weight = W::broadcast(sources.weights[first + i]);
      W powers = W::first_powers(t[i], t2, t4);
      double* moments = moments_.data() + offsets[i];
      unroll<kVectors>([&](auto v) {
        double* at = moments + v * W::kLanes;
        multiply_add(powers, weight, W::load(at)).store(at);
        if (v + 1 < kVectors) powers = powers * step;
      });
    }
  }

  void evaluate(const Grid& grid, const double* targets, int count, double* sums) const {
    double values[W::kLanes];
    int32_t offsets[W::kLanes];
    std::fill_n(values, W::kLanes, targets[0]);
    std::copy_n(targets, count, values);
    const W t = grid.template place<kTerms>(values, offsets);
    W powers[kTerms];
    W::template load_columns<kTerms>(local_.data(), 1, offsets, powers);
    W sum = powers[kTerms - 1];
    unroll<kTerms - 1>([&](auto k) { sum = multiply_add(sum, t, powers[kTerms - 2 - k]); });
    sum.store_first(sums, count);
  }

  void sum_in_one_row(const FiniteRow<double>& both, const WeightedNumbers& sources,
                      const Numbers& targets, double regularization_strength, double* sums,
                      const ParallelFor& parallel_for) {
    row_.resize(both.count);
    direction_.resize(both.count);
    results_.resize(both.count);
    std::copy_n(targets.values, targets.count, row_.begin());
    std::copy_n(sources.values, sources.count, row_.begin() + targets.count);
    std::fill_n(direction_.begin(), targets.count, 0.0);
    std::copy_n(sources.weights, sources.count, direction_.begin() + targets.count);
    double mean = 0;
    for (int64_t k = 0; k < sources.count; ++k) mean += sources.weights[k] / both.count;
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Direction<double> direction = {direction_.data(), 1, mean};
    const FiniteRow<double> row = {row_.data(), both.count, both.minimum, both.maximum};
    kernel_sum_.template sum_of_order<Cdf, 1>({row, regularization_strength, &direction},
                                              {results_.data(), -1, 0, -kInfinity, kInfinity},
                                              parallel_for);
    std::copy_n(results_.begin(), targets.count, sums);
  }

  BoxTranslation<kTerms, 1, 1> translation_;
  AlignedArray<double> moments_, local_;  // [box][term]
  std::vector<double> row_, direction_, results_;
  KernelSum<double> kernel_sum_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
