#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/inverse/soft_topk_step.h"
#include "cpu/inverse/level_solver.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/row_items.h"
#include "cpu/row/row_parts.h"
#include "cpu/row/rows.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft top-k masks of one row after another, with the memory that they need.
template <class Cdf, class Scalar>
class TopKRow {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

 public:
  /// As cpu/soft_topk.h says.
  void choose(const MaskedRow<Scalar>& row, double regularization_strength, double k,
              Scalar* chosen, double* densities, const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
    const FiniteRow<Scalar>& finite = items_.finite();
    const auto counted = static_cast<double>(items_.counted());
    const double wanted = k >= 0 ? std::min(k, counted) : kNan;
    share_out(finite, counted - wanted, wanted, regularization_strength, densities, parallel_for);
    const auto tops = static_cast<double>(items_.above());
    const auto bottoms = static_cast<double>(items_.below());
    const Scalar of_tops = share_of(wanted, tops);
    const Scalar of_bottoms = share_of(wanted - (counted - bottoms), bottoms);
    if (!items_.packed()) {
      for (int64_t i = 0; i < row.size; ++i) chosen[i] = static_cast<Scalar>(shares_[i]);
      return;
    }
    // The densities lie one after the other in front; from the end on none is overwritten.
    int64_t at = finite.count;
    for (int64_t i = row.size; i-- > 0;) {
      const Kind kind = items_.kind(i);
      const bool is_finite = kind == Kind::kFinite;
      if (is_finite) --at;
      densities[i] = is_finite ? densities[at] : (kind == Kind::kNan ? kNan : 0);
      chosen[i] = is_finite              ? static_cast<Scalar>(shares_[at])
                  : kind == Kind::kNan   ? std::numeric_limits<Scalar>::quiet_NaN()
                  : kind == Kind::kAbove ? of_tops
                  : kind == Kind::kBelow ? of_bottoms
                                         : 0;
    }
  }

 private:
  /// Of each of equal infinite items, when so much is left for them; NaN of NaN.
  static Scalar share_of(double left, double number) {
    const double share = left / std::max(number, 1.0);
    return static_cast<Scalar>(share > 1 ? 1 : (share < 0 ? 0 : share));
  }

  /// shares_ and densities of the finite values, for the threshold at a level of the count.
  void share_out(const FiniteRow<Scalar>& finite, double level, double wanted,
                 double regularization_strength, double* densities,
                 const ParallelFor& parallel_for) {
    const int64_t count = finite.count;
    if (count == 0) return;
    if (static_cast<int64_t>(shares_.size()) < count) shares_.resize(count);
    const double of_finite = level - static_cast<double>(items_.below());
    if (!(0 < of_finite && of_finite < static_cast<double>(count))) {
      const double share = std::isnan(level) ? kNan : (of_finite <= 0 ? 1 : 0);
      std::fill_n(shares_.begin(), count, share);
      std::fill_n(densities, count, std::isnan(level) ? kNan : 0.0);
      return;
    }
    strength_ = regularization_strength;
    take_out_rounding(find_threshold(finite, of_finite, parallel_for),
                      wanted - static_cast<double>(items_.above()), densities, parallel_for);
  }

  /// Where values_ have the level; those are the finite values, or these around one of them.
  double find_threshold(const FiniteRow<Scalar>& finite, double level,
                        const ParallelFor& parallel_for) {
    values_.assign(finite.values, finite.values + finite.count);
    double threshold = kNan;
    const auto solve = [&](auto& solver, const auto& row) {
      solver.solve(
          row, &level, 1, strength_, [&](int64_t, double at) { threshold = at; }, parallel_for);
    };
    solve(solver_, finite);
    constexpr double kEpsilon = std::numeric_limits<double>::epsilon(), kSmall = 1e-6;
    if (strength_ * std::abs(threshold) * kEpsilon <= kSmall) return threshold;
    // A double is too coarse for it. Around the nearest item, differences of near ones are exact.
    double nearest = values_[0];
    for (const double value : values_) {
      const bool nearer =
          std::abs(value / 2 - threshold / 2) < std::abs(nearest / 2 - threshold / 2);
      nearest = nearer ? value : nearest;
    }
    const auto from_nearest = [&](double value) {
      constexpr double kHalf = std::numeric_limits<double>::max() / 2;
      return 2 * std::min(std::max(value / 2 - nearest / 2, -kHalf), kHalf);
    };
    for (double& value : values_) value = from_nearest(value);
    const FiniteRow<double> around = {values_.data(), finite.count, from_nearest(finite.minimum),
                                      from_nearest(finite.maximum)};
    solve(solver_of_differences_, around);
    return threshold;
  }

  /// The shares and densities at a threshold. Its rounding shows where α times it is large: steps
  /// of Newton's method take that out of the sum. In a gap there is nothing to take out, nor
  /// within the rounding of the sum.
  void take_out_rounding(double threshold, double wanted, double* densities,
                         const ParallelFor& parallel_for) {
    double step = 0;
    for (int i = 0; i < topk_step::kMost; ++i) {
      const Sums sums = evaluate(threshold, step, densities, parallel_for);
      const double excess = sums.shares - wanted;
      if (std::abs(excess) <= topk_step::kRounding * static_cast<double>(count()) ||
          !(sums.densities > topk_step::kFlat)) {
        return;
      }
      const double more = excess / sums.densities;
      if (std::abs(more) <= kTiny) return step_by(more, threshold, step, densities, parallel_for);
      step += more;
    }
  }

  double from_threshold(int64_t i, double threshold, double step) const {
    // Halved, the difference does not overflow.
    return 2 * ((values_[i] / 2 - threshold / 2) * strength_) - step;
  }

  /// The shares and densities at d - more, from those at d.
  void step_by(double more, double threshold, double step, double* densities,
               const ParallelFor& parallel_for) {
    RowParts::for_each(count(), parallel_for, [&](int64_t begin, int64_t end, int64_t) {
      for (int64_t at = begin; at < end; at += kChunk) {
        const int64_t number = std::min(kChunk, end - at);
        double* const shares = shares_.data() + at;
        double from[kChunk], d[kChunk], masses[kChunk], slopes[kChunk];
        for (int64_t i = 0; i < number; ++i) {
          from[i] = from_threshold(at + i, threshold, step);
          d[i] = std::abs(from[i]);
          masses[i] = from[i] > 0 ? 1 - shares[i] : shares[i];
        }
        slopes_of_tails<Cdf>(d, masses, densities + at, number, slopes);
        for (int64_t i = 0; i < number; ++i) {
          const double density = densities[at + i];
          const double slope = from[i] > 0 ? slopes[i] : -slopes[i];
          shares[i] = std::min(std::max(shares[i] - more * density, 0.0), 1.0);
          densities[at + i] = std::max(density - more * slope, 0.0);
        }
      }
    });
  }

  int64_t count() const { return static_cast<int64_t>(values_.size()); }

  struct Sums {
    double shares = 0, densities = 0;
  };

  /// shares_[i] = F(d) and densities[i] = F'(d) for d = α (x_i - threshold) - step, and their sums.
  Sums evaluate(double threshold, double step, double* densities, const ParallelFor& parallel_for) {
    part_sums_.assign(RowParts::of(count()), Sums());
    RowParts::for_each(count(), parallel_for, [&](int64_t begin, int64_t end, int64_t part) {
      for (int64_t at = begin; at < end; at += kChunk) {
        const int64_t number = std::min(kChunk, end - at);
        double* const shares = shares_.data() + at;
        double from[kChunk], d[kChunk];
        for (int64_t i = 0; i < number; ++i) {
          from[i] = from_threshold(at + i, threshold, step);
          d[i] = std::abs(from[i]);
        }
        tails<Cdf>(d, number, shares, densities + at);
        for (int64_t i = 0; i < number; ++i) shares[i] = from[i] > 0 ? 1 - shares[i] : shares[i];
        part_sums_[part].shares += sum_of(shares, number);
        part_sums_[part].densities += sum_of(densities + at, number);
      }
    });
    Sums sums;
    for (const Sums& part : part_sums_) {
      sums.shares += part.shares;
      sums.densities += part.densities;
    }
    return sums;
  }

  static constexpr int64_t kChunk = 512;
  // The threshold of float32 is that of its series, and the step corrects densities too; where
  // these have a kink, it may not be longer than what shows.
  static constexpr double kTiny = sizeof(Scalar) == 4 && !kHasKink<Cdf> ? 1e-7 : topk_step::kTiny;

  RowItems<Scalar> items_;
  LevelSolver<Cdf, Scalar> solver_;
  LevelSolver<Cdf, double> solver_of_differences_;
  std::vector<double> values_, shares_;  // of the finite items
  double strength_ = 1;
  std::vector<Sums> part_sums_;
};

/// Products with the Jacobian of soft top-k masks, of one row after another.
template <class Scalar>
class TopKProductRow {
 public:
  /// As cpu/soft_topk.h says.
  void multiply(Row<Scalar> vector, Row<double> densities, int64_t size,
                double regularization_strength, Scalar* output, const ParallelFor& parallel_for) {
    part_sums_.assign(RowParts::of(size), Sums());
    RowParts::for_each(size, parallel_for, [&](int64_t begin, int64_t end, int64_t part) {
      part_sums_[part] = sum(vector, densities, begin, end);
    });
    Sums sums;
    for (const Sums& part : part_sums_) {
      sums.densities += part.densities;
      sums.products += part.products;
    }
    const double mean = sums.densities > 0 ? sums.products / sums.densities : 0;
    RowParts::for_each(size, parallel_for, [&](int64_t begin, int64_t end, int64_t) {
      for (int64_t i = begin; i < end; ++i) {
        const double density = densities[i];
        const double product =
            regularization_strength * density * (static_cast<double>(vector[i]) - mean);
        output[i] = static_cast<Scalar>(density > 0 ? product : density);  // 0 or NaN
      }
    });
  }

 private:
  struct Sums {
    double densities = 0, products = 0;
  };

  static Sums sum(Row<Scalar> vector, Row<double> densities, int64_t begin, int64_t end) {
    Sums sums;
    for (int64_t i = begin; i < end; ++i) {
      const double density = densities[i];
      sums.densities += density > 0 ? density : 0;
      sums.products += density > 0 ? density * static_cast<double>(vector[i]) : 0;
    }
    return sums;
  }

  std::vector<Sums> part_sums_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
