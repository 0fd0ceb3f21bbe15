#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/cdf/exponential_sum.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) of as many sorted rows at once as a
/// vector of doubles has lanes, where a CDF's tail is a sum of powers of e^-d
/// (core/cdf/exponential_sum.h): with
///
///     A_p(i) = Σ_{j <= i} e^-pα(x_i - x_j),    B_p(i) = Σ_{j >= i} e^-pα(x_j - x_i),
///
/// which are scans, it is between x_(i-1) and x_i
///
///     G(y) = i - Σ_p c_p A_p(i-1) e^-pα(y - x_(i-1)) + Σ_p c_p B_p(i) e^-pα(x_i - y).
///
/// A level belongs to the item below its point if it is below i, else to the one above, and has a
/// distance d from it at which the tails on that side are as much as those on the other one and
/// what is missing from the level to i: N(d) = M(d) + r. The logarithm of their ratio falls
/// steadily however far items are apart, and Newton's method finds its zero in all rows together.
template <class Cdf, class Scalar>
class QuantilesAbreast {
  using W = Vector<double>;
  using Mass = ExponentialSum<Cdf, Scalar, 0>;
  using Density = ExponentialSum<Cdf, Scalar, 1>;
  static constexpr int kTerms = std::max(Mass::kTerms, Density::kTerms);

 public:
  static constexpr int kLanes = W::kLanes;

  /// For rows of `size` items, with one strength for all. The caller then fills values() and
  /// steps(), [item][row].
  void begin(int64_t size, double strength) {
    size_ = size;
    strength_ = strength;
    farthest_ = std::log(2 * static_cast<double>(size_)) + 1;
    make_room();
  }
  /// The items x_i, ascending.
  double* values() { return values_; }
  /// e^-α(x_i - x_(i-1)), and 0 for i = 0.
  double* steps() { return steps_; }

  /// points[(k - first) * stride + row] = y with G(y) = k + 1/2, for first <= k < last, and if they
  /// are not null densities Σ_j F'(α (y - x_j)) there. Points ascend to rounding.
  void solve_half_levels(int64_t first, int64_t last, int64_t stride, double* points,
                         double* densities) {
    const FlushToZero flush;
    find_sums();
    next_ = W::broadcast(0);
    const auto find = [&](int64_t k, auto levels) {
      const int64_t at = (k - first) * stride;
      find_points<levels>(k, stride, points + at, densities == nullptr ? nullptr : densities + at);
    };
    int64_t k = first;
    for (; k + kTogether <= last; k += kTogether) find(k, std::integral_constant<int, kTogether>{});
    for (; k < last; ++k) find(k, std::integral_constant<int, 1>{});
  }

 private:
  // A step of Newton's method that is as short: less than its square is left.
  static constexpr double kConverged = sizeof(Scalar) == 8 ? 3e-8 : 3e-5;
  static constexpr int kMostSteps = 100;
  static constexpr int kTogether = 4;  // levels

  /// Where a level lies.
  struct Place {
    W near[kTerms], far[kTerms];  // A and B: those of the item that it belongs to, and the others
    W step;                       // e^-α(x_i - x_(i-1))
    W origin;                     // the item
    W unit;                       // 1/α or -1/α, upwards or downwards
    W missing;                    // from the level to i
    W first;                      // distance, to begin with
    W farthest;                   // distance
  };

  void make_room() {
    const int64_t numbers = (size_ + 1) * kTerms * kLanes;
    memory_.make_room(2 * numbers + (4 * size_ + 3) * kLanes);
    below_ = memory_.data();
    above_ = below_ + numbers;
    steps_ = above_ + numbers;
    values_ = steps_ + (size_ + 1) * kLanes;
    counts_ = values_ + size_ * kLanes + kLanes;  // with one before and one behind
    slopes_ = counts_ + size_ * kLanes + kLanes;
  }

  double* below(int64_t i) const { return below_ + (i + 1) * kTerms * kLanes; }  // i >= -1
  double* above(int64_t i) const { return above_ + i * kTerms * kLanes; }        // i <= n

  template <class Sum>
  static constexpr double coefficient(int term) {
    return term < Sum::kTerms ? Sum::kCoefficients[term] : 0;
  }

  /// A and B of every item, and G and its slope there.
  void find_sums() {
    const W one = W::broadcast(1), none = W::broadcast(0);
    const auto add = [&](W step, W* sums, W* mass, W* density) RANK_RELAX_ALWAYS_INLINE {
      W power = step;
      *mass = *density = none;
      unroll<kTerms>([&](auto p) {
        sums[p] = sums[p] * power;
        *mass = multiply_add(sums[p], W::broadcast(coefficient<Mass>(p)), *mass);
        *density = multiply_add(sums[p], W::broadcast(coefficient<Density>(p)), *density);
        sums[p] = sums[p] + one;
        power = power * step;
      });
    };
    constexpr double kItself = 0.5;
    const W own_slope = W::broadcast(Cdf::first_derivative(Cdf::coordinate(0.0)));
    std::fill_n(steps_ + size_ * kLanes, kLanes, 0.0);
    W sums[kTerms], mass, density;
    for (W& sum : sums) sum = none;
    std::fill_n(above(size_), kTerms * kLanes, 0.0);
    for (int64_t i = size_ - 1; i >= 0; --i) {
      add(W::load(steps_ + (i + 1) * kLanes), sums, &mass, &density);
      unroll<kTerms>([&](auto p) { sums[p].store(above(i) + p * kLanes); });
      (mass + W::broadcast(static_cast<double>(i) + kItself)).store(counts_ + i * kLanes);
      (density + own_slope).store(slopes_ + i * kLanes);
    }
    for (W& sum : sums) sum = none;
    std::fill_n(below(-1), kTerms * kLanes, 0.0);
    for (int64_t i = 0; i < size_; ++i) {
      add(W::load(steps_ + i * kLanes), sums, &mass, &density);
      unroll<kTerms>([&](auto p) { sums[p].store(below(i) + p * kLanes); });
      (W::load(counts_ + i * kLanes) - mass).store(counts_ + i * kLanes);
      (W::load(slopes_ + i * kLanes) + density).store(slopes_ + i * kLanes);
    }
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    std::fill_n(counts_ - kLanes, kLanes, -kInfinity);
    std::fill_n(counts_ + size_ * kLanes, kLanes, kInfinity);
  }

  template <int kLevels>
  void find_points(int64_t k, int64_t stride, double* points, double* densities) {
    Place places[kLevels];
    for (int i = 0; i < kLevels; ++i) place_half_level(k + i, &places[i]);
    W distances[kLevels];
    find_distances(places, distances);
    for (int i = 0; i < kLevels; ++i) {
      const W point = point_at(places[i], distances[i]);
      point.store(points + i * stride);
      // Where the point lies once it is a double, which shows where α |y| is large.
      distances[i] = absolute(point - places[i].origin) * W::broadcast(strength_);
    }
    if (densities == nullptr) return;
    Tails tails[kLevels];
    evaluate(places, distances, tails);
    for (int i = 0; i < kLevels; ++i) {
      (tails[i].near_density + tails[i].far_density).store(densities + i * stride);
    }
  }

  static W point_at(const Place& place, W distance) {
    return multiply_add(distance, place.unit, place.origin);
  }

  /// Most often on one side of the k-th item.
  void place_half_level(int64_t k, Place* place) {
    const W level = W::broadcast(static_cast<double>(k) + 0.5);
    const double* counts = counts_ + k * kLanes;
    const bool beside = lowest_lane(level - W::load(counts - kLanes)) > 0 &&
                        lowest_lane(W::load(counts + kLanes) - level) >= 0;
    if (beside) return go_beside(k, level, place);
    find_next(level);
    go_anywhere(level, place);
  }

  /// A level between the counts at the items before and behind the k-th.
  void go_beside(int64_t k, W level, Place* place) {
    const W count = W::load(counts_ + k * kLanes);
    const auto choose = [&](W if_upwards, W if_downwards) RANK_RELAX_ALWAYS_INLINE {
      return W::where_larger(level, count, if_upwards, if_downwards);
    };
    const auto sums = [](const double* of_item, int p)
                          RANK_RELAX_ALWAYS_INLINE { return W::load(of_item + p * kLanes); };
    next_ = choose(W::broadcast(static_cast<double>(k + 1)), W::broadcast(static_cast<double>(k)));
    for (int p = 0; p < kTerms; ++p) {
      place->near[p] = choose(sums(below(k), p), sums(above(k), p));
      place->far[p] = choose(sums(above(k + 1), p), sums(below(k - 1), p));
    }
    place->step = choose(W::load(steps_ + (k + 1) * kLanes), W::load(steps_ + k * kLanes));
    place->origin = W::load(values_ + k * kLanes);
    place->unit = choose(W::broadcast(1 / strength_), W::broadcast(-1 / strength_));
    place->missing = W::broadcast(0.5);
    place->first = absolute(level - count) / W::load(slopes_ + k * kLanes);
    place->farthest = W::broadcast(farthest_);
  }

  /// Numbers of each lane, as indices.
  struct Indices {
    int32_t values[kLanes];

    explicit Indices(W numbers) { numbers.store_int32(values); }
    operator const int32_t*() const { return values; }
  };

  /// Where the lanes' numbers of the i-th items are.
  static W at(W i) {
    double lanes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = lane;
    return multiply_add(i, W::broadcast(kLanes), W::load(lanes));
  }

  /// Moves next_, which is not beyond them, to the first items at which G is not below a level.
  void find_next(W level) {
    const W one = W::broadcast(1), none = W::broadcast(0);
    while (true) {
      const W step = W::where_larger(level, W::gather(counts_, Indices(at(next_))), one, none);
      if (highest_lane(step) == 0) return;
      next_ = next_ + step;
    }
  }

  /// Levels between the items before next_ and these.
  void go_anywhere(W level, Place* place) const {
    const auto choose = [&](W if_upwards, W if_downwards) RANK_RELAX_ALWAYS_INLINE {
      return W::where_larger(next_, level, if_upwards, if_downwards);
    };
    const W none = W::broadcast(0), one = W::broadcast(1);
    const W lower = at(next_ * W::broadcast(kTerms));
    const W upper = lower + W::broadcast(static_cast<double>(above_ - below_));
    const Indices near(choose(lower, upper)), far(choose(upper, lower));
    for (int p = 0; p < kTerms; ++p) {
      place->near[p] = W::gather(below_ + p * kLanes, near);
      place->far[p] = W::gather(below_ + p * kLanes, far);
    }
    const Indices item(at(next_ - choose(one, none)));
    place->step = W::gather(steps_, Indices(at(next_)));
    place->origin = W::gather(values_, item);
    place->unit = choose(W::broadcast(1 / strength_), W::broadcast(-1 / strength_));
    place->missing = absolute(next_ - level);
    place->first = absolute(level - W::gather(counts_, item)) / W::gather(slopes_, item);
    place->farthest = W::broadcast(farthest_);
  }

  /// N, the far tails, and their densities.
  struct Tails {
    W near, far, near_density, far_density;
  };

  template <int kLevels>
  [[gnu::always_inline]] static void evaluate(const Place (&places)[kLevels],
                                              const W (&distances)[kLevels],
                                              Tails (&tails)[kLevels]) {
    double decays[kLevels * kLanes];
    unroll<kLevels>([&](auto i) { distances[i].store(decays + i * kLanes); });
    for (double& decay : decays) decay = exponential_decay(decay);
    W near[kLevels], far[kLevels];
    const W none = W::broadcast(0);
    unroll<kLevels>([&](auto i) {
      near[i] = W::load(decays + i * kLanes);
      far[i] = smaller(places[i].step / near[i], W::broadcast(1));
      tails[i] = {none, none, none, none};
    });
    unroll<kTerms>([&](auto term) {
      constexpr int p = kTerms - 1 - term;
      const W c = W::broadcast(coefficient<Mass>(p)), d = W::broadcast(coefficient<Density>(p));
      unroll<kLevels>([&](auto i) {
        Tails& sums = tails[i];
        const W near_sum = places[i].near[p], far_sum = places[i].far[p];
        sums.near = multiply_add(sums.near, near[i], c * near_sum);
        sums.near_density = multiply_add(sums.near_density, near[i], d * near_sum);
        sums.far = multiply_add(sums.far, far[i], c * far_sum);
        sums.far_density = multiply_add(sums.far_density, far[i], d * far_sum);
      });
    });
    unroll<kLevels>([&](auto i) {
      Tails& sums = tails[i];
      sums.near = sums.near * near[i];
      sums.near_density = sums.near_density * near[i];
      sums.far = sums.far * far[i];
      sums.far_density = sums.far_density * far[i];
    });
  }

  /// By Newton's method while its steps stay between the bounds that are known, else by bisection.
  /// The logarithm of a ratio (1 + z)/(1 - z) is 2 (z + z³/3) where it is small.
  template <int kLevels>
  static void find_distances(const Place (&places)[kLevels], W (&distances)[kLevels]) {
    const W none = W::broadcast(0), two = W::broadcast(2), two_thirds = W::broadcast(2.0 / 3);
    W lower[kLevels], upper[kLevels];
    for (int i = 0; i < kLevels; ++i) {
      lower[i] = none;
      upper[i] = places[i].farthest;
      distances[i] = smaller(larger(places[i].first, none), upper[i]);
    }
    for (int step = 0; step < kMostSteps; ++step) {
      Tails tails[kLevels];
      evaluate(places, distances, tails);
      W longest = none;
      unroll<kLevels>([&](auto i) {
        const W near = tails[i].near, others = tails[i].far + places[i].missing;
        const W excess = near - others;
        const W z = excess / (near + others);
        const W log_ratio = z * multiply_add(z * z, two_thirds, two);
        const W falls = multiply_add(tails[i].near_density, others, tails[i].far_density * near);
        W next = distances[i] + log_ratio * (near * others / falls);
        lower[i] = W::where_larger(excess, none, distances[i], lower[i]);
        upper[i] = W::where_larger(excess, none, upper[i], distances[i]);
        const W middle = (lower[i] + upper[i]) * W::broadcast(0.5);
        next = W::where_larger(lower[i], next, middle, next);
        next = W::where_larger(next, upper[i], middle, next);
        longest = larger(absolute(next - distances[i]), longest);
        distances[i] = next;
      });
      if (!(highest_lane(longest) > kConverged)) break;
    }
  }

  int64_t size_ = 0;
  double strength_ = 1;
  double farthest_ = 0;          // where the tails of all items are a half
  W next_;                       // the items above the levels that are sought
  AlignedArray<double> memory_;  // of kLanes rows
  double *below_, *above_;       // A and B, [item][term]
  double *steps_, *values_, *counts_, *slopes_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
