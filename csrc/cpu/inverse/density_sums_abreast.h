#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/cdf/exponential_sum.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Σ_k w_k F'(α (t_i - s_k)), as many sources s as targets t, both ascending, of as many rows at
/// once as a vector has lanes, where F' is a sum of powers of e^-d (core/cdf/exponential_sum.h):
/// sources and targets are merged, and then sums are scans over both, as in sum/sorted_abreast.h.
template <class Cdf, class Scalar>
class DensitySumsAbreast {
  using W = Vector<double>;
  using Sum = ExponentialSum<Cdf, Scalar, 1>;
  static constexpr int kRows = Vector<Scalar>::kLanes;
  static constexpr int kLanes = W::kLanes;

 public:
  /// Everything of one item after another, and of each the rows; sources and targets have room for
  /// one item more, which is written.
  void sum(double* sources, const double* weights, double* targets, int64_t size, double strength,
           double* sums) {
    size_ = size;
    merged_.make_room(6 * size * kLanes);
    steps_ = merged_.data();
    weights_ = steps_ + 2 * size * kLanes;
    sums_ = weights_ + 2 * size * kLanes;
    places_.make_room((size + 1) * kLanes);
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    std::fill_n(sources + size * kRows, kRows, kInfinity);
    std::fill_n(targets + size * kRows, kRows, kInfinity);
    for (int first_row = 0; first_row < kRows; first_row += kLanes) {
      merge(sources + first_row, weights + first_row, targets + first_row);
      find_steps(strength);
      const FlushToZero flush;
      scan<true>();
      scan<false>();
      for (int64_t i = 0; i < size; ++i) {
        for (int lane = 0; lane < kLanes; ++lane) {
          sums[i * kRows + first_row + lane] = sums_[places_.data()[i * kLanes + lane]];
        }
      }
    }
  }

 private:
  /// Targets behind sources that are equal, as items of weight 0; where each has gone.
  void merge(const double* sources, const double* weights, const double* targets) {
    int64_t source[kLanes], target[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) source[lane] = target[lane] = lane;
    int32_t* places = places_.data();
    for (int64_t m = 0; m < 2 * size_ * kLanes; m += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t s = source[lane], t = target[lane];
        const int64_t at_target = t / kLanes * kRows + lane, at_source = s / kLanes * kRows + lane;
        const bool is_source = sources[at_source] <= targets[at_target];
        steps_[m + lane] = is_source ? sources[at_source] : targets[at_target];
        weights_[m + lane] = is_source ? weights[at_source] : 0;
        places[t] = static_cast<int32_t>(m + lane);
        source[lane] = is_source ? s + kLanes : s;
        target[lane] = is_source ? t : t + kLanes;
      }
    }
  }

  /// In place of the merged numbers, e^-α(z_m - z_(m-1)).
  void find_steps(double strength) {
    for (int64_t m = 2 * size_ - 1; m > 0; --m) {
      for (int lane = 0; lane < kLanes; ++lane) {
        double* step = steps_ + m * kLanes + lane;
        *step = (*step - *(step - kLanes)) * strength;
      }
    }
    std::fill_n(steps_, kLanes, 0.0);
    decay_all(steps_ + kLanes, (2 * size_ - 1) * kLanes);
  }

  template <bool kUp>
  void scan() {
    constexpr int kTerms = Sum::kTerms;
    constexpr auto kCoefficients = Sum::kCoefficients;
    const int64_t last = 2 * size_ - 1;
    W state[kTerms];
    unroll<kTerms>([&](auto p) { state[p] = W::broadcast(0); });
    if (kUp) std::fill_n(sums_, kLanes, 0.0);
    for (int64_t k = 1; k <= last; ++k) {
      const int64_t m = kUp ? k : last - k, before = kUp ? m - 1 : m + 1;
      const W step = W::load(steps_ + (kUp ? m : m + 1) * kLanes);
      const W weight = W::load(weights_ + before * kLanes);
      double* to = sums_ + m * kLanes;
      W power = step, sum = kUp ? W::broadcast(0) : W::load(to);
      unroll<kTerms>([&](auto p) {
        state[p] = (state[p] + weight) * power;
        sum = multiply_add(state[p], W::broadcast(kCoefficients[p]), sum);
        power = power * step;
      });
      sum.store(to);
    }
  }

  int64_t size_ = 0;
  AlignedArray<double> merged_;
  double *steps_, *weights_, *sums_;
  AlignedArray<int32_t> places_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
