#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/inverse/soft_topk_step.h"
#include "core/row/scaled_difference.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/row_parts.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The shares of a soft top-k mask, one list of values after another, with the memory that this
/// needs.
template <class Cdf, class Scalar>
class TopKShares {
 public:
  /// Finds the shares of values at a threshold, of which `wanted` are theirs together, and the
  /// densities. The threshold's rounding shows where α times it is large: steps of Newton's method
  /// take that out of the sum. Within the rounding of the sum there is nothing to take out, nor in
  /// a gap, where the densities vanish: false then.
  template <class Number>
  bool share_out(const Number* values, int64_t count, double threshold, double wanted,
                 double regularization_strength, double* densities,
                 const ParallelFor& parallel_for) {
    if (static_cast<int64_t>(shares_.size()) < count) shares_.resize(count);
    const Differences<Number> differences = {values, count, threshold, regularization_strength};
    double step = 0;
    for (int i = 0; i < topk_step::kMost; ++i) {
      const Sums sums = evaluate(differences, step, densities, parallel_for);
      const double excess = sums.shares - wanted;
      if (!(sums.densities > topk_step::kFlat)) return false;
      if (std::abs(excess) <= topk_step::kRounding * static_cast<double>(count)) return true;
      const double more = excess / sums.densities;
      if (std::abs(more) <= kTiny) {
        step_by(more, differences, step, densities, parallel_for);
        return true;
      }
      step += more;
    }
    return true;
  }

  void give_each(double share, int64_t count) { shares_.assign(count, share); }

  const double* shares() const { return shares_.data(); }

 private:
  /// α (x_i - threshold)
  template <class Number>
  struct Differences {
    const Number* values;
    int64_t count;
    double threshold, strength;

    double operator()(int64_t i) const {
      return scaled_difference(strength, static_cast<double>(values[i]), threshold);
    }
  };

  /// The shares and densities at d - more, from those at d.
  template <class Number>
  void step_by(double more, const Differences<Number>& differences, double step, double* densities,
               const ParallelFor& parallel_for) {
    RowParts::for_each(differences.count, parallel_for, [&](int64_t begin, int64_t end, int64_t) {
      for (int64_t at = begin; at < end; at += kChunk) {
        const int64_t number = std::min(kChunk, end - at);
        double* const shares = shares_.data() + at;
        double from[kChunk], d[kChunk], masses[kChunk], slopes[kChunk];
        for (int64_t i = 0; i < number; ++i) {
          from[i] = differences(at + i) - step;
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

  struct Sums {
    double shares = 0, densities = 0;
  };

  /// shares_[i] = F(d) and densities[i] = F'(d) for d = differences(i) - step, and their sums.
  template <class Number>
  Sums evaluate(const Differences<Number>& differences, double step, double* densities,
                const ParallelFor& parallel_for) {
    part_sums_.assign(RowParts::of(differences.count), Sums());
    RowParts::for_each(differences.count, parallel_for,
                       [&](int64_t begin, int64_t end, int64_t part) {
                         for (int64_t at = begin; at < end; at += kChunk) {
                           const int64_t number = std::min(kChunk, end - at);
                           double* const shares = shares_.data() + at;
                           double from[kChunk], d[kChunk];
                           for (int64_t i = 0; i < number; ++i) {
                             from[i] = differences(at + i) - step;
                             d[i] = std::abs(from[i]);
                           }
                           tails<Cdf>(d, number, shares, densities + at);
                           for (int64_t i = 0; i < number; ++i)
                             shares[i] = from[i] > 0 ? 1 - shares[i] : shares[i];
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
  static constexpr double kTiny = sizeof(Scalar) == 4 && !kHasKink<Cdf> ? 3e-7 : topk_step::kTiny;

  std::vector<double> shares_;
  std::vector<Sums> part_sums_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
