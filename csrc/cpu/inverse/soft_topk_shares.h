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
      if (is_rounding(excess, count)) return true;
      const double more = excess / sums.densities;
      if (std::abs(more) <= kTiny) {
        step_by(more, differences, step, densities, parallel_for);
        return true;
      }
      step += more;
    }
    return true;
  }

  /// How many lists of a size share_out_together() takes.
  static int64_t together(int64_t size) { return std::max<int64_t>(1, kChunk / size); }

  /// As share_out() of so many lists of one size, whose values are values_of(list), each at its
  /// threshold: in few long loops, where loops over each short list would take longer to begin than
  /// to end. `chosen` gets the shares, one list behind the other.
  template <class ValuesOf>
  void share_out_together(const ValuesOf& values_of, int64_t lists, int64_t size,
                          const double* thresholds, const double* wanted,
                          double regularization_strength, Scalar* chosen, double* densities) {
    const int64_t count = lists * size;
    if (count > kChunk) {
      for (int64_t list = 0; list < lists; ++list) {
        share_out_alone(values_of(list), size, thresholds[list], wanted[list],
                        regularization_strength, chosen + list * size, densities + list * size);
      }
      return;
    }
    double from[kChunk], shares[kChunk], more[kChunk];
    bool is_far[kChunk] = {}, are_near = true;
    for (int64_t list = 0; list < lists; ++list) {
      const auto* const values = values_of(list);
      for (int64_t i = 0; i < size; ++i) {
        from[list * size + i] = scaled_difference(regularization_strength,
                                                  static_cast<double>(values[i]), thresholds[list]);
      }
    }
    shares_and_densities(from, count, shares, densities);
    for (int64_t list = 0; list < lists; ++list) {
      const double of_list = sum_of(densities + list * size, size);
      const double excess = sum_of(shares + list * size, size) - wanted[list];
      const bool takes_none = !(of_list > topk_step::kFlat) || is_rounding(excess, size);
      const double step = takes_none ? 0 : excess / of_list;
      is_far[list] = !(std::abs(step) <= kTiny);
      are_near = are_near && !is_far[list];
      std::fill_n(more + list * size, size, is_far[list] ? 0 : step);
    }
    take_step(from, count, [&](int64_t i) { return more[i]; }, shares, densities);
    for (int64_t i = 0; i < count; ++i) chosen[i] = static_cast<Scalar>(shares[i]);
    for (int64_t list = 0; list < lists && !are_near; ++list) {
      if (!is_far[list]) continue;
      share_out_alone(values_of(list), size, thresholds[list], wanted[list],
                      regularization_strength, chosen + list * size, densities + list * size);
    }
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
        double from[kChunk];
        for (int64_t i = 0; i < number; ++i) from[i] = differences(at + i) - step;
        take_step(from, number, [&](int64_t) { return more; }, shares_.data() + at, densities + at);
      }
    });
  }

  /// The shares and densities at from - more(i), from those at these differences.
  template <class More>
  static void take_step(const double* from, int64_t count, const More& more, double* shares,
                        double* densities) {
    double d[kChunk], masses[kChunk], slopes[kChunk];
    for (int64_t i = 0; i < count; ++i) {
      d[i] = std::abs(from[i]);
      masses[i] = from[i] > 0 ? 1 - shares[i] : shares[i];
    }
    slopes_of_tails<Cdf>(d, masses, densities, count, slopes);
    for (int64_t i = 0; i < count; ++i) {
      const double density = densities[i];
      const double slope = from[i] > 0 ? slopes[i] : -slopes[i];
      shares[i] = std::min(std::max(shares[i] - more(i) * density, 0.0), 1.0);
      densities[i] = std::max(density - more(i) * slope, 0.0);
    }
  }

  /// F and F' of as many differences as a chunk has at most.
  static void shares_and_densities(const double* from, int64_t count, double* shares,
                                   double* densities) {
    double d[kChunk];
    for (int64_t i = 0; i < count; ++i) d[i] = std::abs(from[i]);
    tails<Cdf>(d, count, shares, densities);
    for (int64_t i = 0; i < count; ++i) shares[i] = from[i] > 0 ? 1 - shares[i] : shares[i];
  }

  static bool is_rounding(double excess, int64_t count) {
    return std::abs(excess) <= topk_step::kRounding * static_cast<double>(count);
  }

  template <class Number>
  void share_out_alone(const Number* values, int64_t size, double threshold, double wanted,
                       double regularization_strength, Scalar* chosen, double* densities) {
    const ParallelFor alone = in_this_thread;
    share_out(values, size, threshold, wanted, regularization_strength, densities, alone);
    for (int64_t i = 0; i < size; ++i) chosen[i] = static_cast<Scalar>(shares_[i]);
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
                           double from[kChunk];
                           for (int64_t i = 0; i < number; ++i) {
                             from[i] = differences(at + i) - step;
                           }
                           shares_and_densities(from, number, shares, densities + at);
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
