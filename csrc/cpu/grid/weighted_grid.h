#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <tuple>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/series/box_series.h"
#include "cpu/grid/box_translation.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/numbers.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The boxes of a grid, for values of any weights and for points: in coordinates of the boxes
///
///     moments[b][l] = Σ_{j in b} w_j s_j^l
///     local[b][k]   = Σ_{b' within reach} Σ_l c[b - b'][l][k] moments[b'][l]
///     Σ_j w_j K(α (t_i - x_j)) = Σ_k local[box of i][k] t_i^k
///
/// Moments of several values add up, and so do the series of several moments.
template <class Cdf, Precision kPrecision>
class WeightedGrid {
  using W = Vector<double>;
  static constexpr int kTerms = kGridTerms[kPrecision];
  static constexpr int kVectors = kTerms / W::kLanes;
  static constexpr int kBlock = 64;
  static constexpr int64_t kPart = 1 << 15;

 public:
  /// Boxes from one number to another.
  void set_extent(double lowest, double highest, double regularization_strength) {
    const FiniteRow<double> extent = {nullptr, 0, lowest, highest};
    grid_.emplace(extent, Cdf::box_grid[kPrecision].width, regularization_strength);
  }

  int64_t boxes() const { return grid_->cells(); }

  /// How many there are in the moments, or the series, of all boxes.
  int64_t numbers() const { return boxes() * kTerms; }

  /// α times how far a number within the extent lies above the middle of the first box, which need
  /// not be a number that a double holds.
  double above_middle_of_the_first(double number) const {
    double numbers[W::kLanes], coordinates[W::kLanes];
    int32_t boxes[W::kLanes];
    std::fill_n(numbers, W::kLanes, number);
    grid_->template place<1>(numbers, boxes).store(coordinates);
    return Cdf::box_grid[kPrecision].width * (boxes[0] + coordinates[0] / 2);
  }

  void add_moments(const Numbers& values, const double* weights, double* moments) const {
    for (int64_t j = 0; j < values.count; j += kBlock) {
      add_block(values.part(j, std::min(j + kBlock, values.count)), weights + j, moments);
    }
  }

  /// Borrows moments, whose tails reach so far. `below` is what lies below all boxes.
  template <int kOrder>
  void set_moments(const double* moments, double reach, Below below = {}) {
    const GridKernel kernel = {&grid_series<Cdf>(kPrecision, kOrder),
                               boxes_of_reach(reach, Cdf::box_grid[kPrecision].width)};
    translation<kOrder>().set_moments(kernel, moments, boxes(), below);
  }

  /// Writes the series of those moments.
  template <int kOrder>
  void local_series(double* local, const ParallelFor& parallel_for) const {
    constexpr int64_t kBoxesWorthAThread = 256;
    parallel_for(boxes(), kBoxesWorthAThread, [&](int64_t begin, int64_t end) {
      for (int64_t box = begin; box < end; ++box) {
        translation<kOrder>().local_series(box, local + box * kTerms);
      }
    });
  }

  /// Adds them to others.
  template <int kOrder>
  void add_local_series(double* local) const {
    for (int64_t box = 0; box < boxes(); ++box, local += kTerms) {
      double series[kTerms];
      translation<kOrder>().local_series(box, series);
      for (int k = 0; k < kTerms; ++k) local[k] += series[k];
    }
  }

  void evaluate(const Numbers& points, const double* local, double* sums,
                const ParallelFor& parallel_for) const {
    parallel_for((points.count + kPart - 1) / kPart, 1, [&](int64_t begin, int64_t end) {
      const int64_t last = std::min(end * kPart, points.count);
      for (int64_t i = begin * kPart; i < last; i += W::kLanes) {
        evaluate(points.part(i, std::min<int64_t>(i + W::kLanes, last)), local, sums + i);
      }
    });
  }

 private:
  template <int kOrder>
  using Translation = BoxTranslation<kTerms, kOrder, true>;

  template <int kOrder>
  Translation<kOrder>& translation() {
    return std::get<Translation<kOrder>>(translations_);
  }
  template <int kOrder>
  const Translation<kOrder>& translation() const {
    return std::get<Translation<kOrder>>(translations_);
  }

  /// The moments of values, one after the other, their powers across lanes.
  void add_block(const Numbers& values, const double* weights, double* moments) const {
    double x[kBlock], t[kBlock];
    int32_t offsets[kBlock];
    const int count = static_cast<int>(values.count);
    std::copy_n(values.values, count, x);
    const double padding = count > 0 ? x[0] : 0;
    std::fill(x + count, x + (count + W::kLanes - 1) / W::kLanes * W::kLanes, padding);
    for (int i = 0; i < count; i += W::kLanes) {
      grid_->template place<kTerms>(x + i, offsets + i).store(t + i);
    }
    for (int i = 0; i < count; ++i) {
      const double t2 = t[i] * t[i], t4 = t2 * t2;
      const W step = W::broadcast(W::kLanes == 8 ? t4 * t4 : (W::kLanes == 4 ? t4 : t2));
      const W weight = W::broadcast(weights[i]);
      W powers = W::first_powers(t[i], t2, t4);
      double* of_box = moments + offsets[i];
      unroll<kVectors>([&](auto v) {
        double* at = of_box + v * W::kLanes;
        multiply_add(powers, weight, W::load(at)).store(at);
        if (v + 1 < kVectors) powers = powers * step;
      });
    }
  }

  /// Of a vector of points.
  void evaluate(const Numbers& points, const double* local, double* sums) const {
    const int count = static_cast<int>(points.count);
    double values[W::kLanes];
    int32_t offsets[W::kLanes];
    std::fill_n(values, W::kLanes, points.values[0]);
    std::copy_n(points.values, count, values);
    const W t = grid_->template place<kTerms>(values, offsets);
    W powers[kTerms];
    W::template load_columns<kTerms>(local, 1, offsets, powers);
    W sum = powers[kTerms - 1];
    unroll<kTerms - 1>([&](auto k) { sum = multiply_add(sum, t, powers[kTerms - 2 - k]); });
    sum.store_first(sums, count);
  }

  std::optional<DoubleCellGrid<double>> grid_;
  std::tuple<Translation<-1>, Translation<0>, Translation<1>, Translation<2>> translations_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
