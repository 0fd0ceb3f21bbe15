#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/inverse/strength_in_gap.h"
#include "cuda/inverse/level_search.cuh"
#include "cuda/sum/fast_float.cuh"

namespace rank_relax::cuda {

// The threshold of a soft top-k mask, which is the point at one level of the smoothed count. One
// level alone is found without a sort: the items around it are those at a place, and every step of
// the search counts over all items.
//
// Items of float32 are counted in float until a step of Newton's method is short, then in double:
// one step or two, each of which leaves the square of its length.

/// How many items a row has of each kind that the mask tells apart, its extent, and k: read once,
/// so that all threads and kernels go by the same though another kernel should write to it
/// meanwhile.
struct TopKCounts {
  double finite, below, above;
  double minimum, maximum;
  double wanted;
};

/// What the items of a row share.
struct TopKShare {
  bool has_level;    // else all finite items have the same share
  double level;      // of the finite items, 0 < level < number of these
  double of_finite;  // each, without a level
  double of_tops;    // of each of equal infinite items
  double of_bottoms;

  __device__ explicit TopKShare(const TopKCounts& counts) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double counted = counts.finite + counts.below + counts.above;
    const double k = counts.wanted, wanted = k >= 0 ? (k < counted ? k : counted) : nan;
    level = (counted - wanted) - counts.below;
    has_level = 0 < level && level < counts.finite;
    of_finite = isnan(level) ? nan : (level <= 0 ? 1 : 0);
    of_tops = share_of(wanted, counts.above);
    of_bottoms = share_of(wanted - (counted - counts.below), counts.below);
  }

 private:
  /// When so much is left for them; NaN of NaN.
  __device__ static double share_of(double left, double number) {
    const double share = left / (number > 1 ? number : 1);
    return share > 1 ? 1 : (share < 0 ? 0 : share);
  }
};

/// Where the threshold c lies: α (c - x) is exact beside either item.
struct TopKThreshold {
  double strength;
  double anchor, next;            // items around it, or one
  double from_anchor, from_next;  // α (c - anchor) and α (next - c)

  /// α (x - c)
  __device__ double distance_of(double x) const {
    return x >= next ? scaled_difference(strength, x, next) + from_next
                     : scaled_difference(strength, x, anchor) - from_anchor;
  }
};

/// The share of an item, and its density.
template <class Cdf>
__device__ UpperTail<double> share_and_density(const TopKThreshold& threshold, double x) {
  const double d = threshold.distance_of(x);
  const UpperTail<double> tail = Cdf::tail(fabs(d));
  return {d > 0 ? 1 - tail.mass : tail.mass, tail.density};
}

/// The search for c = anchor + u/α. Whoever searches adds up what add_items() says of all items:
///
///     while (!search.has_ended()) search.take(sums over the items at its point)
///
/// Items that are not finite may be among them as +inf, which adds nothing.
template <class Cdf, class Scalar>
class TopKSearch {
 public:
  static constexpr int kSums = 4;

  /// From the finite item at place ceil(level) - 1 on, and the one at place floor(level).
  __device__ TopKSearch(double anchor, double next, double count, double strength, double level)
      : level_(level),
        of_mask_(strength),
        strength_(strength_in_gap<Cdf>(strength, anchor, next)),
        bracket_(bracket_of<Cdf>(
            [&](int64_t i) { return static_cast<double>(i) < level ? anchor : next; },
            static_cast<int64_t>(count), strength_, level)),
        gap_(scaled_difference(strength_, next, anchor)),
        search_(start()) {
    has_ended_ = bracket_.in_wide_gap && !(gap_ < kMiddle);
    constexpr double kWidest = 1e3, kStrongest = 1e30;
    in_single_ = std::is_same_v<Scalar, float> && !bracket_.in_wide_gap &&
                 bracket_.upper - bracket_.lower < kWidest && 1 / kStrongest < strength_ &&
                 strength_ < kStrongest;
    if (in_single_) search_ = begin(gap_ / 2, kInSingle);
  }

  __device__ bool has_ended() const { return has_ended_; }
  __device__ bool in_single() const { return in_single_; }

  /// What the items of one thread add, for which for_each(add) calls add(x).
  template <class ForEach>
  __device__ void add_items(const ForEach& for_each, double (&sums)[kSums]) const {
    const double u = search_.point();
    if (in_single_) {
      const auto at = static_cast<float>(u), anchor = static_cast<float>(bracket_.anchor);
      const auto strength = static_cast<float>(strength_);
      float whole = 0, tails = 0, density = 0;
      for_each([&](Scalar x) {
        const float d = at + strength * (anchor - static_cast<float>(x));
        const UpperTail<FastFloat> tail = Cdf::tail(FastFloat(std::fabs(d)));
        if (d >= 0) whole += 1;
        tails += d >= 0 ? -tail.mass.value : tail.mass.value;
        density += tail.density.value;
      });
      sums[0] = whole;
      sums[1] = tails;
      sums[2] = density;
      sums[3] = 0;
    } else if (bracket_.in_wide_gap) {
      add_tails(for_each, sums);
    } else {
      CountAt<Cdf> count;
      for_each([&](Scalar x) { count.add(u + scaled_difference(strength_, bracket_.anchor, x)); });
      sums[0] = count.whole;
      sums[1] = count.tails;
      sums[2] = count.density;
      sums[3] = 0;
    }
  }

  /// The sums over all items.
  __device__ void take(const double (&sums)[kSums]) {
    search_.take(step_of(sums));
    ++steps_;
    if (in_single_ && (search_.has_ended() || steps_ == kMostInSingle)) {
      in_single_ = false;
      search_ = begin(search_.point(), kInDouble);
    } else {
      has_ended_ = search_.has_ended();
    }
  }

  __device__ TopKThreshold threshold() const {
    const bool is_middle = bracket_.in_wide_gap && steps_ == 0;
    const double u = is_middle ? gap_ / 2 : search_.point();
    const double from_next = is_middle ? gap_ / 2 : gap_ - u;
    const double ratio = of_mask_ / strength_;
    return {of_mask_, bracket_.anchor, bracket_.next, u * ratio, from_next * ratio};
  }

 private:
  // How short a last step is: it leaves its square, and the rounding of float is some 1e-6 of u.
  static constexpr double kInSingle = 1e-5, kInDouble = sizeof(Scalar) == 4 ? 1e-6 : 1e-8;
  static constexpr int kMostInSingle = 24;

  __device__ RootSearch begin(double u, double last_step) const {
    return {u, bracket_.lower, bracket_.upper, 1, RootTolerance{last_step, 0.5}};
  }
  __device__ RootSearch start() const {
    if (bracket_.in_wide_gap) return {gap_ / 2, 0, gap_, 1, RootTolerance{kInDouble, 0.5}};
    return begin(gap_ / 2, kInDouble);
  }

  /// In a wide gap, which no CDF has whose tails are long.
  template <class ForEach>
  __device__ void add_tails(const ForEach& for_each, double (&sums)[kSums]) const {
    if constexpr (kFallsExponentially<Cdf>) {
      const auto for_finite = [&](const auto& add) {
        for_each([&](Scalar x) {
          if (isfinite(x)) add(x);
        });
      };
      const TailBalance<Cdf> tails =
          tails_in_gap<Cdf>(bracket_, strength_, gap_, search_.point(), for_finite);
      for (int side = 0; side < 2; ++side) {
        sums[side] = tails.weights[side];
        sums[2 + side] = tails.slopes[side];
      }
    }
  }

  __device__ Step step_of(const double (&sums)[kSums]) const {
    if constexpr (kFallsExponentially<Cdf>) {
      if (bracket_.in_wide_gap) {
        const double u = search_.point();
        TailBalance<Cdf> tails(u, gap_ - u);
        for (int side = 0; side < 2; ++side) {
          tails.weights[side] = sums[side];
          tails.slopes[side] = sums[2 + side];
        }
        return tails.log_ratio();
      }
    }
    return {(sums[0] - level_) + sums[1], sums[2]};
  }

  double level_, of_mask_, strength_;  // α of the mask, and of the search
  LevelBracket bracket_;
  double gap_;
  RootSearch search_;
  int steps_ = 0;
  bool has_ended_ = false, in_single_ = false;
};

}  // namespace rank_relax::cuda
