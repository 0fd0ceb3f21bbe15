#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/row/kind.h"
#include "core/row/scaled_difference.h"
#include "cpu/inverse/centered_row.h"
#include "cpu/inverse/level_solver.h"
#include "cpu/inverse/quantile_search.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/converted_row.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/row_items.h"
#include "cpu/row/row_parts.h"
#include "cpu/row/rows.h"
#include "cpu/soft_quantile.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The points at levels of one row after another, in double whatever the items are, and the
/// densities there.
template <class Cdf, class Scalar>
class QuantileRow {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

 public:
  /// As cpu/soft_quantile.h says of quantiles.
  void find_quantiles(const MaskedRow<Scalar>& row, double regularization_strength, Row<double> q,
                      int64_t number, double* quantiles, double* points, double* densities,
                      const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    const FiniteRow<Scalar>& finite = centered_.set_row(items_.finite());
    const bool is_defined = items_.unmasked() == items_.counted();
    levels_.resize(number);
    for (int64_t l = 0; l < number; ++l) {
      const bool is_share = 0 <= q[l] && q[l] <= 1 && is_defined;
      levels_[l] = is_share ? q[l] * (static_cast<double>(items_.counted()) - 1) + 0.5 : kNan;
    }
    find(finite, regularization_strength, {levels_.data(), 1}, number, points, densities,
         parallel_for);
    for (int64_t l = 0; l < number; ++l) quantiles[l] = centered_.center() + points[l];
  }

  /// And of levels.
  void find_levels(const MaskedRow<Scalar>& row, double regularization_strength, Row<double> levels,
                   int64_t number, double* points, const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    densities_.resize(number);
    find(items_.finite(), regularization_strength, levels, number, points, densities_.data(),
         parallel_for);
  }

 private:
  void find(const FiniteRow<Scalar>& finite, double regularization_strength, Row<double> levels,
            int64_t number, double* points, double* densities, const ParallelFor& parallel_for) {
    const auto count = static_cast<double>(finite.count);
    const auto below = static_cast<double>(items_.below());
    order_.clear();
    for (int64_t l = 0; l < number; ++l) {
      const double level = levels[l] - below;
      points[l] = beyond(level);
      densities[l] = 0;
      if (0 < level && level < count) order_.push_back(l);
    }
    if (order_.empty()) return;
    std::sort(order_.begin(), order_.end(),
              [&](int64_t a, int64_t b) { return levels[a] < levels[b]; });
    ascending_.clear();
    for (const int64_t l : order_) ascending_.push_back(levels[l] - below);
    const bool by_series = series_serve(finite, regularization_strength);
    if (by_series) {
      solve<true>(solver_of_many_, doubles_.of(finite), regularization_strength, points, densities,
                  parallel_for);
    } else {
      solve<false>(solver_, finite, regularization_strength, points, densities, parallel_for);
    }
    const QuantileSearch<Cdf, Scalar> search(finite, regularization_strength, parallel_for);
    const double least = least_density_of_series(finite, regularization_strength);
    double last = -kInfinity;
    for (size_t i = 0; i < order_.size(); ++i) {
      const int64_t l = order_[i];
      if (!by_series || densities[l] < least) {
        const auto found = search.near(points[l], ascending_[i]);
        points[l] = found.point;
        densities[l] = found.density;
      }
      if (points[l] < last) {  // by rounding; what is moved has a density of its own
        points[l] = last;
        densities[l] = 0;
      }
      last = points[l];
    }
  }

  static constexpr size_t kMostLevelsOfASearch = 12;

  /// Series of double, for all of the levels at once. Else each point is one of a series of Scalar,
  /// corrected by sums over the row.
  bool series_serve(const FiniteRow<Scalar>& finite, double regularization_strength) const {
    constexpr size_t kFewestLevels = 2;
    if constexpr (kHasGrid<Cdf>) {
      constexpr double kItemsABox = 16;  // as benchmarks/sorting.py measured it
      const double boxes =
          scaled_spread(finite, regularization_strength) / Cdf::box_grid[kDouble].width;
      const bool has_full_boxes = kItemsABox * boxes < static_cast<double>(finite.count);
      if (order_.size() >= kFewestLevels && has_full_boxes) return true;
    }
    return order_.size() > kMostLevelsOfASearch;
  }

  /// Where the density is less, a point of series is corrected all the same: in a gap, where tails
  /// beyond their reach count, and if that takes few sums, wherever their rounding shows, which is
  /// that of all that is within their reach.
  double least_density_of_series(const FiniteRow<Scalar>& finite,
                                 double regularization_strength) const {
    constexpr double kGap = 1e-6, kFaint = 0.01, kReach = 10;
    if (order_.size() > kMostLevelsOfASearch) return kGap;
    const double spread = scaled_spread(finite, regularization_strength);
    const double in_reach = static_cast<double>(finite.count) * kReach / std::max(spread, kReach);
    return kFaint * Cdf::first_derivative(Cdf::coordinate(0.0)) * in_reach;
  }

  template <bool with_densities, class Solver, class Finite>
  void solve(Solver& solver, const Finite& finite, double regularization_strength, double* points,
             double* densities, const ParallelFor& parallel_for) {
    solver.template solve<with_densities>(
        finite, ascending_.data(), static_cast<int64_t>(ascending_.size()), regularization_strength,
        [&](int64_t i, double point, double density) {
          points[order_[i]] = point;
          densities[order_[i]] = density;
        },
        parallel_for);
  }

  /// Where no finite value has the level.
  double beyond(double level) const {
    const auto count = static_cast<double>(items_.finite().count);
    if (std::isnan(level) || items_.counted() == 0) return kNan;
    if (count == 0 && level == 0) return kNan;  // between -inf and inf
    return level <= 0 ? -kInfinity : kInfinity;
  }

  RowItems<Scalar> items_;
  CenteredRow<Scalar> centered_;
  LevelSolver<Cdf, Scalar> solver_;
  LevelSolver<Cdf, double> solver_of_many_;
  ConvertedRow<double, Scalar> doubles_;
  std::vector<int64_t> order_;  // of the levels that finite values have, ascending
  std::vector<double> levels_, ascending_, densities_;
};

/// Products with the Jacobian of points at levels, of one row after another, as cpu/soft_quantile.h
/// says. The weights F'(d) of a point's level are divided by their sum; where all of them vanish,
/// in a wide gap, by what their logarithms say.
template <class Cdf, class Scalar>
class QuantileProductRow {
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

 public:
  /// Takes in a row and its points, which must stay as they are.
  void set_row(const MaskedRow<Scalar>& row, double regularization_strength, const LevelPoints& at,
               const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    row_ = at.from_centers ? centered_.set_row(items_.finite()) : items_.finite();
    strength_ = regularization_strength;
    at_ = at;
    levels_.clear();
    is_undefined_ = false;
    for (int64_t l = 0; l < at.number; ++l) {
      is_undefined_ = is_undefined_ || std::isnan(at.points[l]);
      if (!std::isfinite(at.points[l]) || row_.count == 0) continue;
      levels_.push_back(level_of(l, at.points[l], at.densities == nullptr ? 0 : at.densities[l]));
    }
  }

  /// Σ_l g_l W_lj
  void to_items(Row<double> vector, Scalar* output, const ParallelFor& parallel_for) {
    const bool packed = items_.packed();
    if (packed) sums_.resize(row_.count);
    Scalar* const sums = packed ? sums_.data() : output;
    RowParts::for_each(row_.count, parallel_for, [&](int64_t begin, int64_t end, int64_t) {
      for (int64_t at = begin; at < end; at += kChunk) {
        const int64_t count = std::min(kChunk, end - at);
        double total[kChunk] = {}, weights[kChunk];
        for (const Level& level : levels_) {
          weigh<precision_of<Scalar>>(level, at, count, weights);
          const double factor = vector[level.number], share = 1 / level.total;
          for (int64_t i = 0; i < count; ++i) total[i] += factor * (share * weights[i]);
        }
        for (int64_t i = 0; i < count; ++i) {
          sums[at + i] = static_cast<Scalar>(is_undefined_ ? kNan : total[i]);
        }
      }
    });
    if (!packed) return;
    const Scalar* sum = sums;
    for (int64_t i = 0; i < items_.size(); ++i) {
      output[i] = items_.kind(i) == Kind::kFinite ? *sum++ : Scalar(0);
    }
  }

  /// Σ_j W_lj v_j
  void to_levels(Row<Scalar> vector, double* output, const ParallelFor& parallel_for) {
    for (int64_t l = 0; l < at_.number; ++l) output[l] = std::isnan(at_.points[l]) ? kNan : 0;
    const Scalar* along = vector.data;
    if (items_.packed() || vector.stride != 1) {
      sums_.clear();
      for (int64_t i = 0; i < items_.size(); ++i) {
        if (items_.kind(i) == Kind::kFinite) sums_.push_back(vector[i]);
      }
      along = sums_.data();
    }
    const int64_t parts = RowParts::of(row_.count);
    part_sums_.resize(parts);
    for (const Level& level : levels_) {
      RowParts::for_each(row_.count, parallel_for, [&](int64_t begin, int64_t end, int64_t part) {
        double sum = 0;
        for (int64_t at = begin; at < end; at += kChunk) {
          const int64_t count = std::min(kChunk, end - at);
          double weights[kChunk];
          weigh<kDouble>(level, at, count, weights);
          for (int64_t i = 0; i < count; ++i) weights[i] *= along[at + i];
          sum += sum_of(weights, count);
        }
        part_sums_[part] = sum;
      });
      double sum = 0;
      for (const double part : part_sums_) sum += part;
      output[level.number] = sum / level.total;
    }
  }

 private:
  /// A level with a finite point.
  struct Level {
    int64_t number;
    double point;
    double total;  // of the weights
    bool by_logarithms;
    double strength, nearest;  // with these: α, and the distance of the item that weighs 1
  };

  Level level_of(int64_t number, double point, double density) const {
    constexpr double kFlat = 1e-280;
    Level level = {number, point, density, /*by_logarithms=*/false, strength_, 0};
    if (density > kFlat) return level;
    level.total = total_of(level);
    if (level.total > kFlat) return level;
    // With which no logarithm overflows: the limit is the same.
    const double half_spread =
        static_cast<double>(row_.maximum) / 2 - static_cast<double>(row_.minimum) / 2;
    if (half_spread > 0) level.strength = std::min(strength_, 1e150 / half_spread);
    level.by_logarithms = true;
    level.nearest = std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < row_.count; ++i) {
      level.nearest = std::min(level.nearest, distance(level, i));
    }
    level.total = total_of(level);
    return level;
  }

  double total_of(const Level& level) const {
    double total = 0;
    for (int64_t at = 0; at < row_.count; at += kChunk) {
      const int64_t count = std::min(kChunk, row_.count - at);
      double weights[kChunk];
      weigh<kDouble>(level, at, count, weights);
      total += sum_of(weights, count);
    }
    return total;
  }

  double distance(const Level& level, int64_t i) const {
    return std::abs(
        scaled_difference(level.strength, static_cast<double>(row_.values[i]), level.point));
  }

  /// The weights of items from `begin` on, which add up to the level's total, to what a precision
  /// shows.
  template <Precision kPrecision>
  void weigh(const Level& level, int64_t begin, int64_t count, double* weights) const {
    double d[kChunk];
    for (int64_t i = 0; i < count; ++i) d[i] = distance(level, begin + i);
    if (!level.by_logarithms) return densities_of<Cdf, kPrecision>(d, count, weights);
    const auto nearest = [&] { return level.nearest; };
    const double largest = Cdf::log_density(level.nearest, nearest);
    for (int64_t i = 0; i < count; ++i) {
      weights[i] = std::exp(Cdf::log_density(d[i], nearest) - largest);
    }
  }

  static constexpr int64_t kChunk = 512;

  RowItems<Scalar> items_;
  CenteredRow<Scalar> centered_;
  FiniteRow<Scalar> row_ = {nullptr, 0, 0, 0};
  double strength_ = 1;
  LevelPoints at_ = {};
  bool is_undefined_ = false;  // for a point that is NaN
  std::vector<Level> levels_;
  std::vector<Scalar> sums_;
  std::vector<double> part_sums_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
