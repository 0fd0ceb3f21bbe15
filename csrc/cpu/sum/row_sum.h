#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/row_items.h"
#include "cpu/row/row_statistics.h"
#include "cpu/row/rows.h"
#include "cpu/sum/kernel_sum.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft ranks and their derivatives, of one row after another, with the memory they need.
template <class Scalar>
class RowSum {
  static constexpr Scalar kNan = std::numeric_limits<Scalar>::quiet_NaN();

 public:
  /// Takes in a row, which must stay as it is.
  void set_row(const MaskedRow<Scalar>& row, const ParallelFor& parallel_for) {
    items_.set_row(row, parallel_for);
  }

  const RowItems<Scalar>& items() const { return items_; }

  /// ranks[i] = 1/(n-1) Σ_{j≠i} F(α(x_i - x_j)), which is 0 if n is 1; 0 if the item is masked, NaN
  /// where the input is. Of full relative precision at the low end: of the count 1 + (n-1)
  /// ranks[i].
  template <class Cdf>
  void ranks(double regularization_strength, Scalar* ranks, const ParallelFor& parallel_for) {
    const RowCounts counts = items_.counts();
    if (counts.counted() < 2) {
      return centered_ranks<Cdf>(regularization_strength, ranks, parallel_for);
    }
    Output<Scalar> output = {finite_results(ranks), 1, 0, 0, 1};
    output.base = counts.finite_from_zero();
    output.unit = 1 / counts.others();
    output.counts = true;
    ranks_of<Cdf>(regularization_strength, output,
                  {counts.rank_below() * output.unit, output.base * output.unit,
                   counts.rank_above() * output.unit},
                  ranks, parallel_for);
  }

  /// Ranks about their mean: less 1/2, if n is more than 1. For differences of ranks.
  template <class Cdf>
  void centered_ranks(double regularization_strength, Scalar* ranks,
                      const ParallelFor& parallel_for) {
    const RowCounts counts = items_.counts();
    const double others = counts.others(), offset = counts.finite_from_middle() / others;
    ranks_of<Cdf>(
        regularization_strength,
        {finite_results(ranks), static_cast<Scalar>(1 / others), static_cast<Scalar>(offset),
         Scalar(-0.5), Scalar(0.5)},
        {counts.below_from_middle() / others, offset, counts.above_from_middle() / others}, ranks,
        parallel_for);
  }

  /// Which derivative is asked for. The directions are read at finite items alone.
  struct Derivative {
    double regularization_strength;
    const Row<Scalar>* directions;  // one for each order
    int order;                      // at least 1
    double factor;
  };

  /// output[i] = factor α^k/(n-1) Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(α(x_i - x_j)), k the order and
  /// v_l the directions. Infinities have derivative 0, and so have masked items; NaN where the
  /// input is, and in all of the row where a direction is not finite at a finite item.
  template <class Cdf>
  void derivative(const Derivative& asked, Scalar* output, const ParallelFor& parallel_for) {
    Scalar* finite = finite_results(output);
    if (items_.finite().count > 0) finite_derivative<Cdf>(asked, finite, parallel_for);
    if (items_.packed()) scatter(0, 0, output);
  }

  /// Makes output[i] NaN where values[i] is, but for masked items.
  void spread_nan(Row<Scalar> values, Scalar* output) const {
    if (!items_.packed()) return;  // a derivative of finite items has done so
    for (int64_t i = 0; i < items_.size(); ++i) {
      if (items_.kind(i) != Kind::kMasked && std::isnan(values[i])) output[i] = kNan;
    }
  }

 private:
  /// Where the results of the finite items go, if those of all go to `output`.
  Scalar* finite_results(Scalar* output) {
    if (!items_.packed()) return output;
    results_.resize(items_.finite().count);
    return results_.data();
  }

  /// The ranks that follow from counts alone: of -inf, of finite items that are equal, and of inf.
  struct CountedRanks {
    double below, constant, above;
  };

  /// Ranks, or ranks less 1/2.
  template <class Cdf>
  void ranks_of(double regularization_strength, const Output<Scalar>& output,
                const CountedRanks& counted, Scalar* ranks, const ParallelFor& parallel_for) {
    kernel_sum<Cdf>({items_.finite(), regularization_strength}, 0, output, counted.constant,
                    parallel_for);
    if (!items_.packed()) return;
    scatter(static_cast<Scalar>(counted.below), static_cast<Scalar>(counted.above), ranks);
  }

  /// `constant` is every result of even order in a row of equal values.
  template <class Cdf>
  void kernel_sum(const Summands<Scalar>& summands, int order, const Output<Scalar>& output,
                  double constant, const ParallelFor& parallel_for) {
    const FiniteRow<Scalar>& row = summands.row;
    if (row.count == 0) return;
    if (row.minimum == row.maximum && order % 2 == 0) {
      const auto value = static_cast<Scalar>(constant);
      std::fill_n(output.values, row.count, std::clamp(value, output.lowest, output.highest));
      return;
    }
    kernel_sum_.template sum<Cdf>(summands, order, output, parallel_for);
  }

  template <class Cdf>
  void finite_derivative(const Derivative& asked, Scalar* finite, const ParallelFor& parallel_for) {
    const double regularization_strength = asked.regularization_strength, factor = asked.factor;
    const int order = asked.order;
    const int64_t count = items_.finite().count;
    constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
    std::array<Direction<Scalar>, SmoothCdfs::kMaxOrder> directions;
    weights_.resize(order);
    double unscale = 1;
    for (int l = 0; l < order; ++l) {
      const Scalar* values = direction_values(asked.directions[l], weights_[l]);
      const Size size = size_of(values, count, parallel_for);
      double mean = size.sum / static_cast<double>(count);
      if (!std::isfinite(mean)) {  // not finite, or so large that the sum overflows
        mean = 0;
        for (int64_t i = 0; i < count; ++i) {
          mean += values[i] / static_cast<double>(count);
        }
      }
      if (!std::isfinite(mean)) {
        std::fill_n(finite, count, kNan);
        return;
      }
      // Sums stay in range, and the largest product above underflow, for any directions.
      constexpr double kComfortable = 1e12;
      double scale = 1;
      if (size.largest > kComfortable || size.largest < 1 / kComfortable) {
        constexpr int kMostBits = sizeof(Scalar) == 4 ? 100 : 900;
        const int bits = size.largest > 0 ? std::ilogb(size.largest) : 0;
        scale = std::exp2(-std::clamp(bits, -kMostBits, kMostBits));
      }
      directions[l] = {values, static_cast<Scalar>(scale), static_cast<Scalar>(mean * scale)};
      unscale /= scale;
    }
    double scale = factor / items_.counts().others() * unscale;
    for (int l = 0; l < order; ++l) scale *= regularization_strength;
    // A scale that float32 holds well is applied on the way, any other to the sums in double.
    const bool in_range = scale == 0 || (1e-25 < std::abs(scale) && std::abs(scale) < 1e25);
    kernel_sum<Cdf>({items_.finite(), regularization_strength, directions.data()}, order,
                    {finite, in_range ? static_cast<Scalar>(scale) : 1, 0, -kInfinity, kInfinity},
                    0, parallel_for);
    if (in_range) return;
    for (int64_t i = 0; i < count; ++i) {
      const double sum = finite[i];
      // A saturated row stays 0 though α^k may overflow.
      finite[i] = static_cast<Scalar>(sum == 0 && std::isfinite(factor) ? 0 : scale * sum);
    }
  }

  /// The direction at the finite items, contiguous: where it lies, or copied to `packed`.
  const Scalar* direction_values(Row<Scalar> direction, std::vector<Scalar>& packed) const {
    if (!items_.packed() && direction.stride == 1) return direction.data;
    packed.resize(items_.finite().count);
    Scalar* to = packed.data();
    for (int64_t i = 0; i < items_.size(); ++i) {
      if (!items_.packed() || items_.kind(i) == Kind::kFinite) *to++ = direction[i];
    }
    return packed.data();
  }

  void scatter(Scalar below, Scalar above, Scalar* output) const {
    const Scalar* result = results_.data();
    for (int64_t i = 0; i < items_.size(); ++i) {
      switch (items_.kind(i)) {
        case Kind::kFinite:
          output[i] = *result++;
          break;
        case Kind::kBelow:
          output[i] = below;
          break;
        case Kind::kAbove:
          output[i] = above;
          break;
        case Kind::kMasked:
          output[i] = 0;
          break;
        case Kind::kNan:
          output[i] = kNan;
          break;
      }
    }
  }

  RowItems<Scalar> items_;
  std::vector<Scalar> results_;
  std::vector<std::vector<Scalar>> weights_;
  KernelSum<Scalar> kernel_sum_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
