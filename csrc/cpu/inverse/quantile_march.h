#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/inverse/root_search.h"
#include "core/series/box_series.h"
#include "core/series/quantile_series.h"
#include "cpu/aligned_array.h"
#include "cpu/grid/box_moments.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) of a row at many ascending levels,
/// O(1) a level and O(reach) a box. On a grid of boxes, G is in each box
///
///     G(y) = (items in boxes below) + P(t)          t = coordinate of y in its box, in [-1, 1]
///
/// with one polynomial P a box (core/series/quantile_series.h). The levels are met box after box;
/// those of one box are neighbours, and Newton's method finds as many of them together as vectors
/// have lanes. Boxes that hold no item are left out of the list of boxes.
template <class Cdf, class Scalar>
class QuantileMarch {
  using W = Vector<double>;
  static constexpr Precision kPrecision = precision_of<Scalar>;
  static constexpr int kTerms = kGridTerms[kPrecision];
  static constexpr int kVectors = kTerms / W::kLanes;
  static constexpr int kCells = kCellsABox[kPrecision];
  static constexpr int kMostTogether = 4;                         // vectors of levels
  static constexpr int kGroup = kMostTogether * W::kLanes;        // levels
  static constexpr double kConverged = kPrecision ? 1e-8 : 1e-5;  // the next step is its square
  static constexpr int kMostSteps = 8;

 public:
  QuantileMarch() : series_(quantile_series<Cdf>(kPrecision)) {}

  /// Levels of k - 1/2 will be asked for: tails that are nothing beside 1/2 are left out.
  void ask_for_half_levels(int64_t count) {
    const double reach = Cdf::reach_of(static_cast<double>(count), Cdf::box_grid[kPrecision].reach);
    reach_ = std::min(boxes_of_reach(reach, series_.width) + 1, series_.reach);
  }

  /// A grid over a row, unless its boxes would be too many beside its items.
  bool set_grid(const FiniteRow<Scalar>& row, double regularization_strength,
                const ParallelFor& parallel_for) {
    const double boxes = scaled_spread(row, regularization_strength) / series_.width;
    const double most = std::min<double>(64 + static_cast<double>(row.count / 4), 1 << 24);
    if (!(boxes < most) || std::isinf(2 * (regularization_strength / series_.width) * kCells)) {
      return false;
    }
    const double cell_width = series_.width / kCells;
    if constexpr (sizeof(Scalar) == 4) {
      const SingleCellGrid grid(row, cell_width, regularization_strength);
      if (grid.suits())
        return take_moments(grid, {row, regularization_strength}, parallel_for), true;
    }
    take_moments(DoubleCellGrid<Scalar>(row, cell_width, regularization_strength),
                 {row, regularization_strength}, parallel_for);
    return true;
  }

  /// Boxes of ascending values that lie within reach of one another, item after item.
  void set_sorted(const Scalar* sorted, int64_t count, double regularization_strength) {
    constexpr double kHuge = std::numeric_limits<double>::max();
    const double per_width = std::min(regularization_strength / series_.width, kHuge);
    const double half_first = static_cast<double>(sorted[0]) / 2;
    const double half_last = static_cast<double>(sorted[count - 1]) / 2;
    origin_ = half_first + half_last;  // from which no difference overflows
    first_position_ = 0;
    cells_ = 1;
    width_ = series_.width / regularization_strength;
    width_rest_ = 0;
    index_.clear();
    below_.clear();
    const double span = 2 * ((half_last - half_first) * per_width);
    moments_.make_room(std::min(count, static_cast<int64_t>(span) + 2) * kTerms);
    for (int64_t i = 0; i < count; ++i) {
      const double position = (static_cast<double>(sorted[i]) - origin_) * per_width;
      const double nearest = std::nearbyint(position);
      const auto box = static_cast<int64_t>(nearest);
      if (index_.empty() || index_.back() != box) {
        add_box(box, static_cast<double>(i));
        std::fill_n(moments_of_last(), kTerms, 0.0);
      }
      double* moments = moments_of_last();
      const double s = 2 * (position - nearest);
      double power = 1;
      for (int l = 0; l < kTerms; ++l, power *= s) moments[l] += power;
    }
    below_.push_back(static_cast<double>(count));
  }

  /// The scaled gap beyond which two clusters of a row don't know of each other.
  double widest_gap() const { return 2 * reach_ * series_.width; }

  /// store(i, number, points, densities) for all i in [begin, end), some neighbours at a time: y
  /// with G(y) = level_at(i), and Σ_j F'(α (y - x_j)) at that double if wanted. Levels ascend, and
  /// lie between 0 and the number of items. The point is NaN where G is flat: a whole level in a
  /// very wide gap.
  template <bool with_densities, class LevelAt, class Store>
  void solve(int64_t begin, int64_t end, const LevelAt& level_at, const Store& store) const {
    if (begin == end) return;
    LocalSum here = local_sum(box_of(level_at(begin)));
    for (int64_t i = begin; i < end;) {
      const double level = level_at(i);
      approach(level, &here);
      double wanted[kGroup], points[kGroup], densities[kGroup];
      int number = 0;
      for (double above = level - here.below; number == 0 || above <= here.upper;) {
        wanted[number++] = above;
        if (number == kGroup || i + number == end) break;
        above = level_at(i + number) - here.below;
      }
      solve_in(here, wanted, number, points);
      if constexpr (with_densities) densities_at(here, number, points, densities);
      store(i, number, points, densities);
      i += number;
    }
  }

 private:
  /// G in one box.
  struct LocalSum {
    int64_t box;
    double below;                 // items in boxes below
    bool is_flat;                 // at `below`: no item is near on one of its sides, or on both
    double lower, middle, upper;  // P at -1, 0, 1
    alignas(64) double powers[kTerms];
  };

  template <class Grid>
  void take_moments(const Grid& grid, const Summands<Scalar>& summands,
                    const ParallelFor& parallel_for) {
    constexpr int64_t kMostParts = 16;
    box_moments_.add(grid, summands, grid_series<Cdf>(kPrecision, 0), kMostParts, parallel_for);
    origin_ = grid.origin();
    first_position_ = grid.first_position();
    width_ = grid.width();
    width_rest_ = grid.width_rest();
    cells_ = kCells;
    index_.clear();
    below_.clear();
    moments_.make_room(box_moments_.boxes() * kTerms);
    double below = 0;
    for (int64_t box = 0; box < box_moments_.boxes(); ++box) {
      const double* moments = box_moments_.of(box);
      if (moments[0] == 0) continue;
      add_box(box, below);
      std::copy_n(moments, kTerms, moments_of_last());
      below += moments[0];
    }
    below_.push_back(below);
  }

  void add_box(int64_t box, double below) {
    index_.push_back(box);
    below_.push_back(below);
  }
  double* moments_of_last() {
    return moments_.data() + (static_cast<int64_t>(index_.size()) - 1) * kTerms;
  }

  /// The box that holds the item at which the count of items passes a level.
  int64_t box_of(double level) const {
    const auto above = std::upper_bound(below_.begin(), below_.end() - 1, level);
    return index_[std::max<int64_t>(above - below_.begin() - 1, 0)];
  }

  /// Moves to the box of a level, which is not below the box it is in. Smoothing moves levels out
  /// of the boxes of their items, by some ln(n) at most.
  void approach(double level, LocalSum* here) const {
    if (level - here->below > here->upper) {
      *here = local_sum(std::max(box_of(level), here->box + 1));
    }
    while (level - here->below > here->upper) *here = local_sum(here->box + 1);
    while (level - here->below < here->lower) *here = local_sum(here->box - 1);
  }

  LocalSum local_sum(int64_t box) const {
    const auto boxes = static_cast<int64_t>(index_.size());
    int64_t source = std::lower_bound(index_.begin(), index_.end(), box - reach_) - index_.begin();
    W from_lower[kVectors], from_upper[kVectors], own[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      from_lower[v] = from_upper[v] = own[v] = W::broadcast(0);
    }
    const bool any_below = source < boxes && index_[source] < box;
    for (; source < boxes && index_[source] < box; ++source) {
      add<1>(tails(box - index_[source]), source, from_lower);
    }
    LocalSum sum;
    sum.box = box;
    sum.below = below_[source];
    double half_own = 0;
    if (source < boxes && index_[source] == box) {
      half_own = (below_[source + 1] - below_[source]) / 2;
      add<1>(series_.own.data(), source, own);
      ++source;
    }
    const bool any_above = source < boxes && index_[source] <= box + reach_;
    for (; source < boxes && index_[source] <= box + reach_; ++source) {
      add<-1>(tails(index_[source] - box), source, from_upper);
    }
    double lower[kTerms], upper[kTerms];
    for (int v = 0; v < kVectors; ++v) {
      (own[v] - from_lower[v]).store(lower + v * W::kLanes);
      from_upper[v].store(upper + v * W::kLanes);
    }
    for (int k = 0; k < kTerms; k += 2) {
      sum.powers[k] = lower[k] + upper[k];
      sum.powers[k + 1] = lower[k + 1] - upper[k + 1];
    }
    sum.powers[0] += half_own;
    double even = 0, odd = 0;
    for (int k = kTerms - 2; k >= 0; k -= 2) {
      even += sum.powers[k];
      odd += sum.powers[k + 1];
    }
    sum.lower = even - odd;
    sum.middle = sum.powers[0];
    sum.upper = even + odd;
    sum.is_flat = half_own == 0 && !(any_below && any_above);
    return sum;
  }

  const double* tails(int64_t distance) const {
    return series_.tails.data() + (distance - 1) * kTerms * kTerms;
  }

  /// sums[k] += Σ_l sign^l coefficients[l][k] moments[l]
  template <int sign>
  void add(const double* coefficients, int64_t source, W* sums) const {
    const double* moments = moments_.data() + source * kTerms;
    for (int l = 0; l < kTerms; l += 2, coefficients += 2 * kTerms) {
      unroll<kVectors>([&](auto v) {
        sums[v] =
            multiply_add(W::load(coefficients + v * W::kLanes), W::broadcast(moments[l]), sums[v]);
        sums[v] = multiply_add(W::load(coefficients + kTerms + v * W::kLanes),
                               W::broadcast(sign * moments[l + 1]), sums[v]);
      });
    }
  }

  /// The points of a box where P is `wanted`.
  void solve_in(const LocalSum& sum, double* wanted, int number, double* points) const {
    if (sum.is_flat && wanted[0] == 0) {
      std::fill_n(points, number, std::numeric_limits<double>::quiet_NaN());
      return;
    }
    const int padded = number <= W::kLanes ? W::kLanes : kGroup;
    std::fill(wanted + number, wanted + padded, wanted[number - 1]);
    double t[kGroup];
    const bool converged =
        number <= W::kLanes ? newton<1>(sum, wanted, t) : newton<kMostTogether>(sum, wanted, t);
    if (!converged) {
      for (int i = 0; i < number; ++i) t[i] = bisect(sum, wanted[i], t[i]);
    }
    const double center = center_of(sum);
    for (int i = 0; i < padded; ++i) {
      const double position = center + cells_ / 2.0 * t[i];
      points[i] = origin_ + (position * width_ + position * width_rest_);
    }
  }

  /// Σ_j F' where the points lie once they are doubles, which shows where α |y| is large.
  void densities_at(const LocalSum& sum, int number, const double* points,
                    double* densities) const {
    const W center = W::broadcast(center_of(sum));
    const W per_half_box = W::broadcast(2 / (cells_ * width_));
    for (int i = 0; i < number; i += W::kLanes) {
      const W from_origin = W::load(points + i) - W::broadcast(origin_);
      const W from_center =
          exact_remainder(center, W::broadcast(width_rest_),
                          exact_remainder(center, W::broadcast(width_), from_origin));
      W value, slope;
      evaluate(sum, within_box(from_center * per_half_box), &value, &slope);
      const W density = slope * W::broadcast(2 / series_.width);
      larger(density, W::broadcast(0)).store(densities + i);
    }
  }

  /// The middle of a box, in cells.
  double center_of(const LocalSum& sum) const {
    return first_position_ + static_cast<double>(cells_ * sum.box) + (cells_ - 1) / 2.0;
  }

  /// P and P' at a vector of points.
  [[gnu::always_inline]] static void evaluate(const LocalSum& sum, W t, W* value, W* slope) {
    *value = W::broadcast(sum.powers[kTerms - 1]);
    *slope = W::broadcast(0);
    for (int k = kTerms - 2; k >= 0; --k) {
      *slope = multiply_add(*slope, t, *value);
      *value = multiply_add(*value, t, W::broadcast(sum.powers[k]));
    }
  }

  /// Newton's method from where two straight lines through P at -1, 0 and 1 have the value; false
  /// if it has not converged everywhere. The box is all that holds its steps: bounds for each lane,
  /// as core/inverse/root_search.h has them, are comparisons and selections at every step that
  /// hardly a level needs.
  template <int together>
  static bool newton(const LocalSum& sum, const double* wanted, double* points) {
    const W one = W::broadcast(1), none = W::broadcast(0);
    const auto inverse = [](double x) { return W::broadcast(x > 0 ? 1 / x : 0); };
    const W per_lower = inverse(sum.middle - sum.lower),
            per_upper = inverse(sum.upper - sum.middle);
    W t[together];
    unroll<together>([&](auto v) {
      const W level = W::load(wanted + v * W::kLanes);
      const W in_lower = multiply_subtract(level - W::broadcast(sum.lower), per_lower, one);
      const W in_upper = (level - W::broadcast(sum.middle)) * per_upper;
      t[v] = within_box(smaller(in_lower, none) + larger(in_upper, none));
    });
    bool converged = false;
    for (int step = 0; step < kMostSteps && !converged; ++step) {
      W longest = none;
      unroll<together>([&](auto v) {
        W value, slope;
        evaluate(sum, t[v], &value, &slope);
        const W next = within_box(t[v] + (W::load(wanted + v * W::kLanes) - value) / slope);
        longest = larger(absolute(next - t[v]), longest);
        t[v] = next;
      });
      converged = highest_lane(longest) < kConverged;
    }
    unroll<together>([&](auto v) { t[v].store(points + v * W::kLanes); });
    return converged;
  }

  static W within_box(W t) { return smaller(larger(t, W::broadcast(-1)), W::broadcast(1)); }

  /// The same for one level, certain to end.
  static double bisect(const LocalSum& sum, double wanted, double t) {
    RootSearch search(t, -1, 1, 1, {1e-15, 0});
    while (!search.has_ended()) {
      double value = sum.powers[kTerms - 1], slope = 0;
      for (int k = kTerms - 2; k >= 0; --k) {
        slope = slope * search.point() + value;
        value = value * search.point() + sum.powers[k];
      }
      search.take({value - wanted, slope});
    }
    return search.point();
  }

  const QuantileSeries& series_;
  int reach_ = series_.reach;  // in boxes
  BoxMoments<Scalar, 0> box_moments_;
  // The boxes that hold items, upwards.
  std::vector<int64_t> index_;
  std::vector<double> below_;     // items in the boxes before; and all items
  AlignedArray<double> moments_;  // [box][term]
  // A box's middle is at origin + (first_position + cells index + (cells - 1)/2) width.
  double origin_ = 0, first_position_ = 0, width_ = 1, width_rest_ = 0;
  int64_t cells_ = 1;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
