#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/inverse/level_solver.h"
#include "cpu/inverse/quantile_search.h"
#include "cpu/inverse/soft_topk_shares.h"
#include "cpu/isa/flush_to_zero.h"
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
    const double* const shares = shares_.shares();
    if (!items_.packed()) {
      for (int64_t i = 0; i < row.size; ++i) chosen[i] = static_cast<Scalar>(shares[i]);
      return;
    }
    // The densities lie one after the other in front; from the end on none is overwritten.
    int64_t at = finite.count;
    for (int64_t i = row.size; i-- > 0;) {
      const Kind kind = items_.kind(i);
      const bool is_finite = kind == Kind::kFinite;
      if (is_finite) --at;
      densities[i] = is_finite ? densities[at] : (kind == Kind::kNan ? kNan : 0);
      chosen[i] = is_finite              ? static_cast<Scalar>(shares[at])
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

  /// Shares and densities of the finite values, for the threshold at a level of the count.
  void share_out(const FiniteRow<Scalar>& finite, double level, double wanted,
                 double regularization_strength, double* densities,
                 const ParallelFor& parallel_for) {
    const int64_t count = finite.count;
    if (count == 0) return;
    const double of_finite = level - static_cast<double>(items_.below());
    if (!(0 < of_finite && of_finite < static_cast<double>(count))) {
      shares_.give_each(std::isnan(level) ? kNan : (of_finite <= 0 ? 1 : 0), count);
      std::fill_n(densities, count, std::isnan(level) ? kNan : 0.0);
      return;
    }
    double threshold = kNan;
    const auto solve = [&](auto& solver, const auto& values) {
      solver.template solve<false>(
          values, &of_finite, 1, regularization_strength,
          [&](int64_t, double at, double) { threshold = at; }, parallel_for);
    };
    const auto share_out_at = [&](const auto* values) {
      return shares_.share_out(values, count, threshold,
                               wanted - static_cast<double>(items_.above()),
                               regularization_strength, densities, parallel_for);
    };
    solve(solver_, finite);
    constexpr double kEpsilon = std::numeric_limits<double>::epsilon(), kSmall = 1e-6;
    if (regularization_strength * std::abs(threshold) * kEpsilon > kSmall) {
      solve(solver_of_differences_, around_nearest(finite, threshold));
      share_out_at(differences_.data());
      return;
    }
    const bool is_steep = share_out_at(finite.values);
    if (is_steep || sizeof(Scalar) == 8) return;
    // In a gap, where series of float32 say no more.
    const QuantileSearch<Cdf, Scalar> search(finite, regularization_strength, parallel_for);
    threshold = search.near(threshold, of_finite).point;
    share_out_at(finite.values);
  }

  /// The values around the one that is nearest to a threshold for which a double is too coarse:
  /// there differences of near ones are exact.
  FiniteRow<double> around_nearest(const FiniteRow<Scalar>& finite, double threshold) {
    differences_.assign(finite.values, finite.values + finite.count);
    double nearest = differences_[0];
    for (const double value : differences_) {
      const bool nearer =
          std::abs(value / 2 - threshold / 2) < std::abs(nearest / 2 - threshold / 2);
      nearest = nearer ? value : nearest;
    }
    const auto from_nearest = [&](double value) {
      constexpr double kHalf = std::numeric_limits<double>::max() / 2;
      return 2 * std::min(std::max(value / 2 - nearest / 2, -kHalf), kHalf);
    };
    for (double& value : differences_) value = from_nearest(value);
    return {differences_.data(), finite.count, from_nearest(finite.minimum),
            from_nearest(finite.maximum)};
  }

  RowItems<Scalar> items_;
  LevelSolver<Cdf, Scalar> solver_;
  LevelSolver<Cdf, double> solver_of_differences_;
  std::vector<double> differences_;
  TopKShares<Cdf, Scalar> shares_;  // of the finite items
};

/// Products with the Jacobian of soft top-k masks, of one row after another.
template <class Scalar>
class TopKProductRow {
 public:
  /// As cpu/soft_topk.h says.
  void multiply(Row<Scalar> vector, Row<double> densities, int64_t size,
                double regularization_strength, Scalar* output, const ParallelFor& parallel_for) {
    if (RowParts::of(size) <= 1) {
      const FlushToZero flush;  // which is faster far from the threshold
      const double mean = sum(vector, densities, 0, size).mean();
      return multiply(vector, densities, mean, regularization_strength, 0, size, output);
    }
    part_sums_.assign(RowParts::of(size), Sums());
    RowParts::for_each(size, parallel_for, [&](int64_t begin, int64_t end, int64_t part) {
      const FlushToZero flush;
      part_sums_[part] = sum(vector, densities, begin, end);
    });
    Sums sums;
    for (const Sums& part : part_sums_) {
      sums.densities += part.densities;
      sums.products += part.products;
    }
    RowParts::for_each(size, parallel_for, [&](int64_t begin, int64_t end, int64_t) {
      const FlushToZero flush;
      multiply(vector, densities, sums.mean(), regularization_strength, begin, end, output);
    });
  }

 private:
  struct Sums {
    double densities = 0, products = 0;

    double mean() const { return densities > 0 ? products / densities : 0; }
  };

  static constexpr int64_t kChunk = 512;

  /// Some numbers of a row, one after the other.
  template <class Number>
  class Chunk {
   public:
    Chunk(Row<Number> row, int64_t begin, int64_t count) : numbers_(row.data + begin) {
      if (row.stride == 1) return;
      for (int64_t i = 0; i < count; ++i) copies_[i] = row[begin + i];
      numbers_ = copies_;
    }
    Chunk(const Chunk&) = delete;

    Number operator[](int64_t i) const { return numbers_[i]; }

   private:
    const Number* numbers_;
    Number copies_[kChunk];
  };

  static Sums sum(Row<Scalar> vector, Row<double> densities, int64_t begin, int64_t end) {
    Sums sums;
    for (; begin < end; begin += kChunk) {
      const int64_t count = std::min(kChunk, end - begin);
      const Chunk<double> density(densities, begin, count);
      const Chunk<Scalar> factor(vector, begin, count);
      // Whatever is computed is stored before it is chosen, or there would be a branch for each.
      double known[kChunk], products[kChunk];
      for (int64_t i = 0; i < count; ++i) {
        known[i] = std::max(0.0, density[i]);  // 0 of NaN
        products[i] = known[i] * static_cast<double>(factor[i]);
      }
      for (int64_t i = 0; i < count; ++i) {
        products[i] = known[i] > 0 ? products[i] : 0;  // not 0 times what may be infinite
      }
      sums.densities += sum_of(known, count);
      sums.products += sum_of(products, count);
    }
    return sums;
  }

  static void multiply(Row<Scalar> vector, Row<double> densities, double mean,
                       double regularization_strength, int64_t begin, int64_t end, Scalar* output) {
    for (; begin < end; begin += kChunk) {
      const int64_t count = std::min(kChunk, end - begin);
      const Chunk<double> density(densities, begin, count);
      const Chunk<Scalar> factor(vector, begin, count);
      double products[kChunk];
      for (int64_t i = 0; i < count; ++i) {
        const double along = static_cast<double>(factor[i]) - mean;
        products[i] = regularization_strength * density[i] * along;
      }
      for (int64_t i = 0; i < count; ++i) {
        output[begin + i] =
            static_cast<Scalar>(density[i] > 0 ? products[i] : density[i]);  // 0 or NaN
      }
    }
  }

  std::vector<Sums> part_sums_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
