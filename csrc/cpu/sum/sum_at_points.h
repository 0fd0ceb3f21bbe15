#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/row/scaled_difference.h"
#include "core/sum/compensated_sum.h"
#include "core/sum/sum_at_points_form.h"
#include "cpu/aligned_array.h"
#include "cpu/grid/weighted_grid.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/row_statistics.h"
#include "cpu/sort/radix_sort.h"
#include "cpu/sum/kernel_sum.h"
#include "cpu/sum/pairs_at_points.h"
#include "cpu/sum/scan_at_points.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Σ_j w_j K(α (t_i - x_j)) at points t of values x with weights w of either sign, where K is F,
/// its integral or a derivative (core/sum/kernel_at.h): in double, to the precision that results of
/// kPrecision are asked for, relative to what the sum of the terms' sizes is, but for tails out of
/// reach.
///
/// Short lists pair by pair. Where boxes are few beside the items, on a grid of them:
///
///     moments[b][l] = Σ_{j in b} w_j s_j^l                    in coordinates of the boxes
///     local[b][k]   = Σ_{b' within reach} Σ_l c[b - b'][l][k] moments[b'][l]
///     Σ_j w_j K(α (t_i - x_j)) = Σ_k local[box of i][k] t_i^k
///
/// Elsewhere points and values are sorted and gone through stretch by stretch, each on a grid of
/// its own or pair by pair within reach; where the tail is one exponential, in two scans; and sums
/// of F' where soft ranks have a better form, as theirs.
template <class Cdf, Precision kPrecision, Tails kTails = Tails::kOfAll>
class SumAtPoints {
 public:
  /// Borrows both lists until the next call. All sums are NaN where one holds what is not finite.
  void set_lists(const Numbers& points, const Numbers& values, double regularization_strength) {
    points_ = points;
    values_ = values;
    strength_ = regularization_strength;
    is_sorted_ = false;
    if (points.count == 0 || values.count == 0) return;
    extent_ = extent_of_part(points.values, 0, points.count) |
              extent_of_part(values.values, 0, values.count);
  }

  template <int kOrder>
  void sum(const double* weights, double* sums, const ParallelFor& parallel_for) {
    if (points_.count == 0) return;
    if (values_.count == 0 || !extent_.all_finite) {
      const double sum = values_.count == 0 ? 0 : std::numeric_limits<double>::quiet_NaN();
      return std::fill_n(sums, points_.count, sum), void();
    }
    switch (sum_at_points_form<Cdf>(kPrecision, kTails, kOrder, points_.count, values_.count,
                                    scaled(extent_.minimum, extent_.maximum))) {
      case SumAtPointsForm::kPairwise:
        return pairwise<kOrder>(weights, sums, parallel_for);
      case SumAtPointsForm::kOneRow:
        if constexpr (kOrder == 1) in_one_row(weights, sums, parallel_for);
        return;
      case SumAtPointsForm::kBoxes:
        if constexpr (kHasGrid<Cdf>) {
          const Boxes boxes = {points_, values_, weights, extent_.minimum, extent_.maximum};
          on_grid<kOrder>(boxes, {}, sums, parallel_for);
        }
        return;
      case SumAtPointsForm::kSorted:
        if constexpr (kFallsExponentially<Cdf>) sorted<kOrder>(weights, sums);
        return;
    }
  }

  /// Of order 3 and more.
  void sum_of_order(int order, const double* weights, double* sums,
                    const ParallelFor& parallel_for) {
    if (values_.count == 0) return std::fill_n(sums, points_.count, 0.0), void();
    const SumOfPairsOfOrder<Cdf> pairs(order, strength_);
    for_parts_of_pairs(parallel_for, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sums[i] = pairs.at(points_.values[i], values_, weights);
    });
  }

 private:
  /// What one grid serves.
  struct Boxes {
    Numbers points, values;
    const double* weights;
    double lowest, highest;
  };

  /// α (to - from)
  double scaled(double from, double to) const { return scaled_difference(strength_, to, from); }

  template <class Work>
  void for_parts_of_pairs(const ParallelFor& parallel_for, const Work& work) const {
    constexpr int64_t kPairsWorthAThread = 1 << 16;
    parallel_for(points_.count, std::max<int64_t>(kPairsWorthAThread / values_.count, 1), work);
  }

  template <int kOrder>
  void pairwise(const double* weights, double* sums, const ParallelFor& parallel_for) const {
    for_parts_of_pairs(parallel_for, [&](int64_t begin, int64_t end) {
      std::fill(sums + begin, sums + end, 0.0);
      add_sums_of_pairs<Cdf, kPrecision, kOrder, false>(strength_, points_.part(begin, end),
                                                        nullptr, values_, weights, sums + begin);
    });
  }

  // One row

  /// Of order 1, as a part of the derivative of a soft rank in the row that holds both: with v = 0
  /// at the points, its Σ_j (v_i - v_j) F' is -Σ_j w_j F' there.
  void in_one_row(const double* weights, double* sums, const ParallelFor& parallel_for) {
    const int64_t points = points_.count, count = points + values_.count;
    row_.resize(count);
    direction_.resize(count);
    results_.resize(count);
    std::copy_n(points_.values, points, row_.begin());
    std::copy_n(values_.values, values_.count, row_.begin() + points);
    std::fill_n(direction_.begin(), points, 0.0);
    std::copy_n(weights, values_.count, direction_.begin() + points);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Direction<double> direction = {direction_.data(), 1, 0};
    const FiniteRow<double> row = {row_.data(), count, extent_.minimum, extent_.maximum};
    kernel_sum_.template sum_of_order<Cdf, 1>({row, strength_, &direction},
                                              {results_.data(), -1, 0, -kInfinity, kInfinity},
                                              parallel_for);
    std::copy_n(results_.begin(), points, sums);
  }

  // Boxes

  template <int kOrder>
  void on_grid(const Boxes& boxes, Below below, double* sums, const ParallelFor& parallel_for) {
    grid_.set_extent(boxes.lowest, boxes.highest, strength_);
    moments_.make_room(grid_.numbers());
    local_.make_room(grid_.numbers());
    std::fill_n(moments_.data(), grid_.numbers(), 0.0);
    grid_.add_moments(boxes.values, boxes.weights, moments_.data());
    const double reach = reach_of_sum<Cdf>(kPrecision, kTails, values_.count);
    grid_.template set_moments<kOrder>(moments_.data(), reach, below);
    grid_.template local_series<kOrder>(local_.data(), parallel_for);
    grid_.evaluate(boxes.points, local_.data(), sums, parallel_for);
  }

  // Sorted

  void sort() {
    if (is_sorted_) return;
    is_sorted_ = true;
    sort(points_, sorted_points_, order_of_points_);
    sort(values_, sorted_values_, order_of_values_);
  }

  void sort(const Numbers& numbers, std::vector<double>& sorted, std::vector<uint32_t>& order) {
    const int64_t count = numbers.count;
    sorted.resize(count);
    order.resize(count);
    spare_.resize(count);
    spare_order_.resize(count);
    radix_argsort(numbers.values, count, {sorted.data(), order.data()},
                  {spare_.data(), spare_order_.data()});
  }

  template <int kOrder>
  void sorted(const double* weights, double* sums) {
    sort();
    const int64_t points = points_.count, values = values_.count;
    sorted_weights_.resize(values);
    sorted_sums_.resize(points);
    for (int64_t j = 0; j < values; ++j) sorted_weights_[j] = weights[order_of_values_[j]];
    if constexpr (kIsExponential<Cdf>) {
      scan_at_points<kOrder>({sorted_points_.data(), points}, {sorted_values_.data(), values},
                             sorted_weights_.data(), strength_, sorted_sums_.data());
    } else {
      in_stretches<kOrder>();
    }
    for (int64_t i = 0; i < points; ++i) sums[order_of_points_[i]] = sorted_sums_[i];
  }

  /// Σ w and Σ w (reference - x) of the values that are so far below that F is 1 and its integral
  /// d. The reference goes along, so that nothing cancels.
  class FarBelow {
   public:
    explicit FarBelow(double reference) : reference_(reference) {}

    /// Values in ascending order.
    void add(double weight, double value) {
      if (value > reference_) move_to(value);
      weight_ += weight;
      distance_.add(weight * (reference_ - value));
    }
    void move_to(double reference) {
      if (weight_ != 0) distance_.add(weight_ * (reference - reference_));
      reference_ = reference;
    }
    double weight() const { return weight_; }
    /// Σ w (point - x)
    double distance(double point) const {
      const double to_reference = distance_.value();
      return weight_ == 0 ? to_reference : to_reference + weight_ * (point - reference_);
    }

   private:
    double reference_, weight_ = 0;
    CompensatedSum distance_;
  };

  /// The values within reach of a point or of some, in sorted order.
  struct Window {
    int64_t begin = 0, end = 0;
  };

  /// Moves the window on to points from `first` to `last`; leaves(j) for values that are below it.
  template <class Leaves>
  void move(Window& window, double first, double last, double reach, const Leaves& leaves) const {
    const double* x = sorted_values_.data();
    const int64_t count = values_.count;
    while (window.begin < count && scaled(x[window.begin], first) > reach) leaves(window.begin++);
    window.end = std::max(window.end, window.begin);
    while (window.end < count && scaled(last, x[window.end]) <= reach) ++window.end;
  }

  template <int kOrder>
  void in_stretches() {
    constexpr double kMostBoxes = 128;
    const double width = Cdf::box_grid[kPrecision].width;
    const double reach = reach_of_sum<Cdf>(kPrecision, kTails, values_.count);
    const SumAtPointsCost cost = cost_of_sum_at_points<Cdf>(kPrecision, kOrder);
    const double *t = sorted_points_.data(), *x = sorted_values_.data();
    const double* w = sorted_weights_.data();
    FarBelow below(x[0]);
    Window window;
    for (int64_t begin = 0, end = 0; begin < points_.count; begin = end) {
      while (end < points_.count && scaled(t[begin], t[end]) <= kMostBoxes * width) ++end;
      move(window, t[begin], t[end - 1], reach, [&](int64_t j) { below.add(w[j], x[j]); });
      const double lowest =
          window.begin < window.end ? std::min(t[begin], x[window.begin]) : t[begin];
      const double highest =
          window.begin < window.end ? std::max(t[end - 1], x[window.end - 1]) : t[end - 1];
      const int64_t items = end - begin + window.end - window.begin;
      const double on_a_grid = static_cast<double>(items) * cost.item +
                               cost.of_boxes(scaled(lowest, highest) / width + 1, reach / width);
      if (static_cast<double>(pairs_within_reach(begin, end, window, reach)) * cost.pair <=
          on_a_grid) {
        in_windows<kOrder>(begin, end, window, below, reach);
        continue;
      }
      const Boxes boxes = {{t + begin, end - begin},
                           {x + window.begin, window.end - window.begin},
                           w + window.begin,
                           lowest,
                           highest};
      grid_.set_extent(lowest, highest, strength_);
      const double to_middle = strength_ * below.distance(lowest) -
                               below.weight() * grid_.above_middle_of_the_first(lowest);
      on_grid<kOrder>(boxes, {below.weight(), to_middle}, sorted_sums_.data() + begin,
                      in_this_thread);
    }
  }

  int64_t pairs_within_reach(int64_t begin, int64_t end, Window window, double reach) const {
    int64_t pairs = 0;
    window.end = window.begin;
    for (int64_t i = begin; i < end; ++i) {
      move(window, sorted_points_[i], sorted_points_[i], reach, [](int64_t) {});
      pairs += window.end - window.begin;
    }
    return pairs;
  }

  /// Each point with the values within its own reach. What is above has no more than nothing.
  template <int kOrder>
  void in_windows(int64_t begin, int64_t end, Window window, FarBelow below, double reach) {
    window.end = window.begin;
    for (int64_t i = begin; i < end; ++i) {
      const double point = sorted_points_[i];
      move(window, point, point, reach,
           [&](int64_t j) { below.add(sorted_weights_[j], sorted_values_[j]); });
      double sum = sum_of_pairs<Cdf, kOrder>(
          strength_, point, {sorted_values_.data() + window.begin, window.end - window.begin},
          sorted_weights_.data() + window.begin);
      if constexpr (kOrder == 0) sum += below.weight();
      if constexpr (kOrder == -1) sum += strength_ * below.distance(point);
      sorted_sums_[i] = sum;
    }
  }

  Numbers points_, values_;
  double strength_;
  Extent<double> extent_;
  WeightedGrid<Cdf, kPrecision> grid_;
  AlignedArray<double> moments_, local_;  // [box][term]
  bool is_sorted_ = false;
  std::vector<double> row_, direction_, results_;
  KernelSum<double> kernel_sum_;
  std::vector<double> sorted_points_, sorted_values_, sorted_weights_, sorted_sums_, spare_;
  std::vector<uint32_t> order_of_points_, order_of_values_, spare_order_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
