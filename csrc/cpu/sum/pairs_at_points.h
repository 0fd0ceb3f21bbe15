#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/row/scaled_difference.h"
#include "core/sum/kernel_at.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/isa/lane.h"
#include "cpu/row/numbers.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Σ_j w_j K(α (t - x_j)) at one point, pair by pair.
template <class Cdf, int kOrder>
double sum_of_pairs(double regularization_strength, double point, const Numbers& values,
                    const double* weights) {
  constexpr int64_t kBlock = 64;
  const double half_point = point / 2;
  double total = 0;
  for (int64_t begin = 0; begin < values.count; begin += kBlock) {
    const int64_t count = std::min<int64_t>(values.count - begin, kBlock);
    double d[kBlock], terms[kBlock];
    for (int64_t j = 0; j < count; ++j) {
      d[j] = 2 * (regularization_strength * (half_point - values.values[begin + j] / 2));
    }
    const FlushToZero flush;
    kernels_at<Cdf, kOrder>(d, count, terms);
    for (int64_t j = 0; j < count; ++j) terms[j] *= weights[begin + j];
    total += sum_of(terms, count);
  }
  return total;
}

/// Sums of tails are precise relative to themselves.
template <class Cdf, Precision kPrecision>
constexpr Precision precision_of_tails() {
  if constexpr (kHasGrid<Cdf>) return Cdf::kTailsInSingle ? kPrecision : kDouble;
  return kDouble;
}

/// sums[i] += Σ_j w_j K(α (t_i - x_j)) at several points, side by side in vectors: over all values,
/// or, with counts that nowhere fall, over the first counts[i] of them.
template <class Cdf, Precision kPrecision, int kOrder, bool kCounted>
[[gnu::flatten]] void add_sums_of_pairs(double regularization_strength, const Numbers& points,
                                        const double* counts, const Numbers& values,
                                        const double* weights, double* sums) {
  using Number = LaneOf<double, precision_of_tails<Cdf, kPrecision>()>;
  constexpr int kPoints = 16;
  constexpr int64_t kBlock = 64;  // sums of so many are added up
  for (int64_t first = 0; first < points.count; first += kPoints) {
    const int count = static_cast<int>(std::min<int64_t>(points.count - first, kPoints));
    double half[kPoints] = {}, seen[kPoints] = {}, total[kPoints] = {};
    for (int i = 0; i < count; ++i) half[i] = points.values[first + i] / 2;
    if (kCounted) std::copy_n(counts + first, count, seen);
    const int64_t most = kCounted ? static_cast<int64_t>(seen[count - 1]) : values.count;
    for (int64_t begin = 0; begin < most; begin += kBlock) {
      double part[kPoints] = {};
      for (int64_t j = begin; j < std::min(begin + kBlock, most); ++j) {
        const double half_value = values.values[j] / 2, weight = weights[j];
        const double place = static_cast<double>(j);
        for (int i = 0; i < kPoints; ++i) {
          const Number d = {2 * (regularization_strength * (half[i] - half_value))};
          const double term = weight * kernel_at<Cdf, kOrder>(d).value;
          part[i] += kCounted && place >= seen[i] ? 0 : term;
        }
      }
      for (int i = 0; i < kPoints; ++i) total[i] += part[i];
    }
    for (int i = 0; i < count; ++i) sums[first + i] += total[i];
  }
}

/// Σ_j w_j K(α (t - x_j)) at one point for an order from 3 on.
template <class Cdf>
class SumOfPairsOfOrder {
 public:
  SumOfPairsOfOrder(int order, double regularization_strength)
      : ratio_(order), strength_(regularization_strength) {}

  double at(double point, const Numbers& values, const double* weights) const {
    double sum = 0;
    for (int64_t j = 0; j < values.count; ++j) {
      const double q = Cdf::coordinate(scaled_difference(strength_, point, values.values[j]));
      const double density = Cdf::first_derivative(q);
      if (density != 0) sum += weights[j] * (ratio_(q) * density);
    }
    return sum;
  }

 private:
  typename Cdf::Ratio ratio_;
  double strength_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
