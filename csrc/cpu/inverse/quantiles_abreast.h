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
#include "cpu/isa/widened.h"

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
  // In no declaration of a member that is no template: a CDF with another tail has no terms.
  static constexpr int kTerms = std::max(Mass::kTerms, Density::kTerms);
  // Masses to some 1e-5, for guesses.
  struct Guess : ExponentialFit<Cdf, 0, std::min(Mass::kTerms, 7)> {};

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
    lowest_ = 0;
    std::fill_n(next_, kLanes, 0);
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
  // How far rounding may put a point beyond either item of its gap.
  static constexpr float kBeyondItem = 1e-3f;
  static constexpr float kConvergedGuess = 5e-3f;
  static constexpr int kMostGuesses = 8;
  static constexpr int kTogether = 4;  // levels
  // How many items are looked at at once, and how far lanes may be apart for that.
  static constexpr int kMostAhead = 3, kMostApart = 12;

  /// What decides of the distance of a level from the item that it belongs to.
  template <class Number, int terms>
  struct Gap {
    Number near[terms], far[terms];  // c_p A_p and c_p B_p: those of the item, and the others
    Number step;                     // e^-α(x_i - x_(i-1))
    Number missing;                  // from the level to i
  };

  /// Where a level lies.
  struct Place {
    W origin;        // the item
    W unit;          // 1/α or -1/α, upwards or downwards
    W count, slope;  // G and its slope at the item
  };

  void make_room() {
    const int64_t items = (size_ + 1 + kMostAhead) * kLanes;  // with some that are not there
    memory_.make_room((2 * kTerms + 4) * items);
    below_ = memory_.data();
    above_ = below_ + kTerms * items;
    steps_ = above_ + kTerms * items;
    values_ = steps_ + items;
    counts_ = values_ + items;
    slopes_ = counts_ + items;
  }

  double* below(int64_t i) const { return below_ + (i + 1) * kTerms * kLanes; }  // i >= -1
  double* above(int64_t i) const { return above_ + i * kTerms * kLanes; }        // i <= n

  // What a sum of powers is multiplied by where it is kept, and what makes of that its summand in a
  // density.
  static constexpr double mass_coefficient_or_one(int term) {
    return term < Mass::kTerms ? Mass::kCoefficients[term] : 1;
  }
  static constexpr double of_density(int term) {
    return term < Density::kTerms ? Density::kCoefficients[term] / mass_coefficient_or_one(term)
                                  : 0;
  }

  /// A and B of every item, and G and its slope there.
  void find_sums() {
    const W one = W::broadcast(1), none = W::broadcast(0);
    W sums[kTerms], mass, density;
    const auto add = [&](W step, double* to) RANK_RELAX_ALWAYS_INLINE {
      W power = step;
      mass = density = none;
      unroll<kTerms>([&](auto p) {
        const W before = sums[p] * power * W::broadcast(mass_coefficient_or_one(p));
        if constexpr (p < Mass::kTerms) mass = mass + before;
        density = multiply_add(before, W::broadcast(of_density(p)), density);
        sums[p] = multiply_add(sums[p], power, one);
        (sums[p] * W::broadcast(mass_coefficient_or_one(p))).store(to + p * kLanes);
        power = power * step;
      });
    };
    constexpr double kItself = 0.5;
    const W own_slope = W::broadcast(Cdf::first_derivative(Cdf::coordinate(0.0)));
    std::fill_n(steps_ + size_ * kLanes, kLanes, 0.0);
    for (W& sum : sums) sum = none;
    std::fill_n(above(size_), kTerms * kLanes, 0.0);
    for (int64_t i = size_ - 1; i >= 0; --i) {
      add(W::load(steps_ + (i + 1) * kLanes), above(i));
      (mass + W::broadcast(static_cast<double>(i) + kItself)).store(counts_ + i * kLanes);
      (density + own_slope).store(slopes_ + i * kLanes);
    }
    for (W& sum : sums) sum = none;
    std::fill_n(below(-1), kTerms * kLanes, 0.0);
    for (int64_t i = 0; i < size_; ++i) {
      add(W::load(steps_ + i * kLanes), below(i));
      (W::load(counts_ + i * kLanes) - mass).store(counts_ + i * kLanes);
      (W::load(slopes_ + i * kLanes) + density).store(slopes_ + i * kLanes);
    }
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    std::fill_n(counts_ + size_ * kLanes, (1 + kMostAhead) * kLanes, kInfinity);
  }

  template <int kLevels>
  void find_points(int64_t k, int64_t stride, double* points, double* densities) {
    Place places[kLevels];
    Gap<W, kTerms> gaps[kLevels];
    W distances[kLevels];
    for (int i = 0; i < kLevels; ++i) {
      place_half_level(k + i, &gaps[i], &places[i]);
      const W level = W::broadcast(static_cast<double>(k + i) + 0.5);
      distances[i] = absolute(level - places[i].count) / places[i].slope;
    }
    if constexpr (kLevels % 2 == 0) guess_in_single(gaps, distances);
    find_distances<Mass::kTerms>(gaps, kConverged, kMostSteps, distances);
    for (int i = 0; i < kLevels; ++i) {
      const W point = multiply_add(distances[i], places[i].unit, places[i].origin);
      point.store(points + i * stride);
      // Where the point lies once it is a double, which shows where α |y| is large.
      distances[i] = absolute(point - places[i].origin) * W::broadcast(strength_);
    }
    if (densities == nullptr) return;
    W sums[kLevels];
    find_densities(gaps, distances, sums);
    for (int i = 0; i < kLevels; ++i) sums[i].store(densities + i * stride);
  }

  /// Finds the items between which level k + 1/2 lies. It belongs to the lower one where the level
  /// is below the number of items before the gap, which is the same for all lanes in that gap.
  template <int terms>
  void place_half_level(int64_t k, Gap<W, terms>* gap, Place* place) {
    const double level = static_cast<double>(k) + 0.5;
    const W levels = W::broadcast(level);
    while (all_larger(levels, count(lowest_))) ++lowest_;
    const bool are_apart = any_larger(levels, count(std::min(lowest_ + kMostApart, size_)));
    if (are_apart) return take_each(k, level, gap, place);
    take_gaps<true, 1>(lowest_, k, levels, gap, place);
    for (int64_t i = lowest_ + 1; any_larger(levels, count(i)); i += kMostAhead) {
      take_gaps<false, kMostAhead>(i, k, levels, gap, place);
    }
  }

  W count(int64_t i) const { return W::load(counts_ + i * kLanes); }

  /// What belongs to a gap before item i, [lane].
  struct Sources {
    const double *near, *far, *step, *origin, *count, *slope;
    double unit, missing;
  };
  Sources sources(int64_t i, int64_t k) const {
    const bool upwards = i > k;
    const int64_t item = (upwards ? i - 1 : i) * kLanes;
    return {upwards ? below(i - 1) : above(i),
            upwards ? above(i) : below(i - 1),
            steps_ + i * kLanes,
            values_ + item,
            counts_ + item,
            slopes_ + item,
            upwards ? 1 / strength_ : -1 / strength_,
            std::abs(static_cast<double>(i - k) - 0.5)};
  }

  /// The gap before item i, or what has been taken; and where the counts before them are below
  /// the level, the gaps before the next items.
  template <bool kFirst, int kMore, int terms>
  [[gnu::always_inline]] void take_gaps(int64_t i, int64_t k, W levels, Gap<W, terms>* gap,
                                        Place* place) const {
    Sources from[kMore + 1];
    for (int ahead = 0; ahead <= kMore; ++ahead) from[ahead] = sources(i + ahead, k);
    const auto take = [&](W* taken, const auto& number_of) RANK_RELAX_ALWAYS_INLINE {
      W number = kFirst ? number_of(from[0]) : *taken;
      unroll<kMore>([&](auto ahead) {
        number = W::where_larger(levels, count(i + ahead), number_of(from[ahead + 1]), number);
      });
      *taken = number;
    };
    unroll<terms>([&](auto p) {
      take(&gap->near[p], [&](const Sources& of) { return W::load(of.near + p * kLanes); });
      take(&gap->far[p], [&](const Sources& of) { return W::load(of.far + p * kLanes); });
    });
    take(&gap->step, [](const Sources& of) { return W::load(of.step); });
    take(&gap->missing, [](const Sources& of) { return W::broadcast(of.missing); });
    take(&place->origin, [](const Sources& of) { return W::load(of.origin); });
    take(&place->unit, [](const Sources& of) { return W::broadcast(of.unit); });
    take(&place->count, [](const Sources& of) { return W::load(of.count); });
    take(&place->slope, [](const Sources& of) { return W::load(of.slope); });
  }

  /// Lane by lane, where they are far apart, as among many equal items.
  template <int terms>
  void take_each(int64_t k, double level, Gap<W, terms>* gap, Place* place) {
    double near[terms][kLanes], far[terms][kLanes];
    double step[kLanes], missing[kLanes], origin[kLanes], unit[kLanes], counts[kLanes],
        slopes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      int64_t& i = next_[lane];
      while (level > counts_[i * kLanes + lane]) ++i;
      const Sources from = sources(i, k);
      for (int p = 0; p < terms; ++p) {
        near[p][lane] = from.near[p * kLanes + lane];
        far[p][lane] = from.far[p * kLanes + lane];
      }
      step[lane] = from.step[lane];
      missing[lane] = from.missing;
      origin[lane] = from.origin[lane];
      unit[lane] = from.unit;
      counts[lane] = from.count[lane];
      slopes[lane] = from.slope[lane];
    }
    for (int p = 0; p < terms; ++p) {
      gap->near[p] = W::load(near[p]);
      gap->far[p] = W::load(far[p]);
    }
    gap->step = W::load(step);
    gap->missing = W::load(missing);
    *place = {W::load(origin), W::load(unit), W::load(counts), W::load(slopes)};
  }

  /// e^-d, and e^-(the distance from the item on the other side).
  template <class Number>
  struct Decays {
    Number near, far;
  };
  template <int kCount, int terms, class Real>
  [[gnu::always_inline]] static void decay(const Gap<Vector<Real>, terms> (&gaps)[kCount],
                                           const Vector<Real> (&distances)[kCount],
                                           Decays<Vector<Real>> (&decays)[kCount]) {
    using N = Vector<Real>;
    Real near[kCount * N::kLanes];
    unroll<kCount>([&](auto i) { distances[i].store(near + i * N::kLanes); });
    for (Real& each : near) each = exponential_decay(each);
    unroll<kCount>([&](auto i) {
      decays[i].near = N::load(near + i * N::kLanes);
      decays[i].far = smaller(gaps[i].step / decays[i].near, N::broadcast(1 + kBeyondItem));
    });
  }

  /// N, the far tails, and how they change.
  template <class Number>
  struct Tails {
    Number near, far, near_slope, far_slope;
  };
  template <int masses, int kCount, int terms, class Real>
  [[gnu::always_inline]] static void evaluate(const Gap<Vector<Real>, terms> (&gaps)[kCount],
                                              const Vector<Real> (&distances)[kCount],
                                              Tails<Vector<Real>> (&tails)[kCount]) {
    Decays<Vector<Real>> decays[kCount];
    decay(gaps, distances, decays);
    unroll<kCount>([&](auto i) {
      tails[i].near = gaps[i].near[masses - 1];
      tails[i].far = gaps[i].far[masses - 1];
      tails[i].near_slope = tails[i].far_slope = Vector<Real>::broadcast(0);
    });
    unroll<masses - 1>([&](auto term) {
      constexpr int p = masses - 2 - term;
      unroll<kCount>([&](auto i) {
        auto& sums = tails[i];
        const auto& u = decays[i];
        sums.near_slope = multiply_add(sums.near_slope, u.near, sums.near);
        sums.near = multiply_add(sums.near, u.near, gaps[i].near[p]);
        sums.far_slope = multiply_add(sums.far_slope, u.far, sums.far);
        sums.far = multiply_add(sums.far, u.far, gaps[i].far[p]);
      });
    });
    unroll<kCount>([&](auto i) {
      auto& sums = tails[i];
      const auto& u = decays[i];
      sums.near_slope = multiply_add(sums.near_slope, u.near, sums.near) * u.near;
      sums.near = sums.near * u.near;
      sums.far_slope = multiply_add(sums.far_slope, u.far, sums.far) * u.far;
      sums.far = sums.far * u.far;
    });
  }

  /// Σ_j F'(α (y - x_j))
  template <int kCount, int terms>
  [[gnu::always_inline]] static void find_densities(const Gap<W, terms> (&gaps)[kCount],
                                                    const W (&distances)[kCount],
                                                    W (&densities)[kCount]) {
    Decays<W> decays[kCount];
    decay(gaps, distances, decays);
    W far[kCount];
    for (int i = 0; i < kCount; ++i) densities[i] = far[i] = W::broadcast(0);
    unroll<Density::kTerms>([&](auto term) {
      constexpr int p = Density::kTerms - 1 - term;
      const W factor = W::broadcast(of_density(p));
      unroll<kCount>([&](auto i) {
        densities[i] = multiply_add(densities[i], decays[i].near, factor * gaps[i].near[p]);
        far[i] = multiply_add(far[i], decays[i].far, factor * gaps[i].far[p]);
      });
    });
    unroll<kCount>([&](auto i) {
      densities[i] = multiply_add(densities[i], decays[i].near, far[i] * decays[i].far);
    });
  }

  /// From the distances that are there on, by Newton's method while its steps stay between the
  /// bounds that are known, else by bisection. The logarithm of a ratio (1 + z)/(1 - z) is
  /// 2 (z + z³/3) where it is small.
  template <int masses, int kCount, int terms, class Real>
  void find_distances(const Gap<Vector<Real>, terms> (&gaps)[kCount], Real converged,
                      int most_steps, Vector<Real> (&distances)[kCount]) const {
    using N = Vector<Real>;
    const N none = N::broadcast(0), one = N::broadcast(1), two = N::broadcast(2);
    const N two_thirds = N::broadcast(static_cast<Real>(2.0 / 3));
    N lower[kCount], upper[kCount];
    for (int i = 0; i < kCount; ++i) {
      lower[i] = N::broadcast(-kBeyondItem);
      upper[i] = N::broadcast(static_cast<Real>(farthest_));
      distances[i] = smaller(larger(distances[i], none), upper[i]);
    }
    for (int step = 0; step < most_steps; ++step) {
      Tails<N> tails[kCount];
      evaluate<masses>(gaps, distances, tails);
      N longest = none;
      unroll<kCount>([&](auto i) {
        const N near = tails[i].near, others = tails[i].far + gaps[i].missing;
        const N excess = near - others;
        const N all = near + others;
        const N falls = multiply_add(tails[i].near_slope, others, tails[i].far_slope * near);
        const N inverse = one / (all * falls);
        const N z = excess * (falls * inverse);
        const N log_ratio = z * multiply_add(z * z, two_thirds, two);
        N next = multiply_add(log_ratio, near * others * (all * inverse), distances[i]);
        lower[i] = N::where_larger(excess, none, distances[i], lower[i]);
        upper[i] = N::where_larger(excess, none, upper[i], distances[i]);
        const N middle = (lower[i] + upper[i]) * N::broadcast(0.5);
        next = N::where_larger(lower[i], next, middle, next);
        next = N::where_larger(next, upper[i], middle, next);
        longest = larger(absolute(next - distances[i]), longest);
        distances[i] = next;
      });
      if (!any_larger(longest, N::broadcast(converged))) break;
    }
  }

  /// Distances in single precision, of two levels in one vector: the first steps towards them cost
  /// less than half as much.
  template <int kLevels, int terms>
  void guess_in_single(const Gap<W, terms> (&gaps)[kLevels], W (&distances)[kLevels]) const {
    using Both = Widened<float>;
    using N = Vector<float>;
    static_assert(Both::kParts == 2);
    Gap<N, Guess::kTerms> of_pairs[kLevels / 2];
    N guesses[kLevels / 2];
    const auto narrow = [](W first, W second) RANK_RELAX_ALWAYS_INLINE {
      const W parts[] = {first, second};
      return Both::narrow(parts);
    };
    unroll<kLevels / 2>([&](auto pair) {
      const auto &first = gaps[2 * pair], &second = gaps[2 * pair + 1];
      unroll<Guess::kTerms>([&](auto p) {
        const N factor =
            N::broadcast(static_cast<float>(Guess::kCoefficients[p] / mass_coefficient_or_one(p)));
        of_pairs[pair].near[p] = narrow(first.near[p], second.near[p]) * factor;
        of_pairs[pair].far[p] = narrow(first.far[p], second.far[p]) * factor;
      });
      of_pairs[pair].step = narrow(first.step, second.step);
      of_pairs[pair].missing = narrow(first.missing, second.missing);
      guesses[pair] = narrow(distances[2 * pair], distances[2 * pair + 1]);
    });
    find_distances<Guess::kTerms>(of_pairs, kConvergedGuess, kMostGuesses, guesses);
    unroll<kLevels / 2>([&](auto pair) {
      float lanes[N::kLanes];
      guesses[pair].store(lanes);
      Both::load(lanes, distances + 2 * pair);
    });
  }

  int64_t size_ = 0;
  double strength_ = 1;
  double farthest_ = 0;  // where the tails of all items are a half
  // No item of any lane before the lowest, nor of a lane before its next, is one at which G is not
  // below a level that is sought.
  int64_t lowest_ = 0, next_[kLanes] = {};
  AlignedArray<double> memory_;  // of kLanes rows
  double *below_, *above_;       // A and B, [item][term]
  double *steps_, *values_, *counts_, *slopes_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
