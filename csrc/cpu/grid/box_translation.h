#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/series/box_series.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// What lies below a box: Σ w, and Σ w d to its middle.
struct Below {
  double weight = 0;
  double distance = 0;
};

/// From the moments of all boxes of a grid to the local series of one:
///
///     local[k] = Σ_{b' within reach} Σ_l c[b - b'][l][k] moments[b'][l]
///
/// and for K = F - 1/2 the items of other boxes count ±1/2 each, to which c adds their tails. For
/// every set of weights of cpu/sum/weighted_sums.h, the first of which counts the items; a box's
/// row holds the terms of its sets, one set after the other.
///
/// Or, with kAnyWeights, for one set of any weights: then K is F for order 0 and its integral for
/// order -1, and what lies below adds its whole weight, or that times its distance.
template <int kTerms, int kOrder, bool kAnyWeights = false>
class BoxTranslation {
  using W = Vector<double>;
  static constexpr int kSets = kAnyWeights ? 1 : weight_sets(std::max(kOrder, 0));
  static constexpr int kVectors = kTerms / W::kLanes;
  static_assert(kAnyWeights || kOrder >= 0);

 public:
  static constexpr int kRow = kSets * kTerms;

  /// Borrows the moments until the next call. `base` is added to the sums of order 0 before
  /// anything is rounded: with half the number of items they count those below.
  void set_moments(const GridKernel& kernel, const double* moments, int64_t boxes,
                   double base = 0) {
    static_assert(!kAnyWeights);
    kernel_ = kernel;
    moments_ = moments;
    boxes_ = boxes;
    base_ = base;
    if (kOrder > 0) return;
    below_.resize(boxes + 1);
    below_[0] = {};
    for (int64_t box = 0; box < boxes; ++box) {
      below_[box + 1].weight = below_[box].weight + moments_of(box)[0];
    }
  }

  /// The same of any weights.
  void set_moments(const GridKernel& kernel, const double* moments, int64_t boxes, Below below) {
    static_assert(kAnyWeights);
    kernel_ = kernel;
    moments_ = moments;
    boxes_ = boxes;
    holds_.resize(boxes);
    for (int64_t box = 0; box < boxes; ++box) {
      bool holds = false;
      for (int l = 0; l < kTerms; ++l) holds |= moments_of(box)[l] != 0;
      holds_[box] = holds;
    }
    if (kOrder > 0) return;
    const double width = kernel.series->width;
    below_.resize(boxes + 1);
    below_[0] = below;
    for (int64_t box = 0; box < boxes; ++box) {
      const double* of_box = moments_of(box);
      const double weight = below_[box].weight + of_box[0];
      below_[box + 1] = {weight, below_[box].distance + width * (weight - of_box[1] / 2)};
    }
  }

  /// Whether there is no item in the box, which then needs no series.
  bool is_empty(int64_t box) const {
    return kAnyWeights ? holds_[box] == 0 : moments_of(box)[0] == 0;
  }

  /// Writes the kRow coefficients of a box.
  void local_series(int64_t box, double* local) const {
    static constexpr double kNone[kRow] = {};
    Sums lower = {}, upper = {};  // from boxes below, with this one, and from those above
    add_moments_at(0, moments_of(box), kNone, lower, upper);
    for (int64_t distance = 1; distance <= kernel_.reach; ++distance) {
      const bool below = box - distance >= 0 && !is_empty(box - distance);
      const bool above = box + distance < boxes_ && !is_empty(box + distance);
      if (!below && !above) continue;
      add_moments_at(distance, below ? moments_of(box - distance) : kNone,
                     above ? moments_of(box + distance) : kNone, lower, upper);
    }
    for (int set = 0; set < kSets; ++set, local += kTerms) {
      double from_lower[kTerms], from_upper[kTerms];
      for (int v = 0; v < kVectors; ++v) {
        const int i = set * kVectors + v;
        (lower.even[i] + lower.odd[i]).store(from_lower + v * W::kLanes);
        (upper.even[i] - upper.odd[i]).store(from_upper + v * W::kLanes);
      }
      if (kAnyWeights && kOrder <= 0) {
        add_whole(box, from_lower);
      } else if (kOrder == 0) {
        const double above = below_[boxes_].weight - below_[box + 1].weight;
        from_lower[0] += (below_[box].weight - above) / 2 + base_;
      }
      for (int k = 0; k < kTerms; k += 2) {
        constexpr double kParity = kernel_parity(kOrder);
        local[k] = from_lower[k] + kParity * from_upper[k];
        local[k + 1] = from_lower[k + 1] - kParity * from_upper[k + 1];
      }
    }
  }

 private:
  /// Σ_l c[distance][l][k] moments[l], over even l and over odd ones. K(-d) = ±K(d), so a box above
  /// adds at t, up to that sign, what its mirror image below would at -t: even less odd.
  struct Sums {
    W even[kSets * kVectors];
    W odd[kSets * kVectors];
  };

  const double* moments_of(int64_t box) const { return moments_ + box * kRow; }

  /// From boxes below F is 1 and its integral d, without their tails, and in the box itself the
  /// kernel is 1/2, or d/2, more than its odd, or even, part.
  void add_whole(int64_t box, double* local) const {
    const Below& below = below_[box];
    const double* own = moments_of(box);
    if (kOrder == 0) {
      local[0] += below.weight + own[0] / 2;
    } else {
      const double half_width = kernel_.series->width / 2;
      local[0] += below.distance - half_width * own[1] / 2;
      local[1] += half_width * (below.weight + own[0] / 2);
    }
  }

  void add_moments_at(int64_t distance, const double* below, const double* above, Sums& lower,
                      Sums& upper) const {
    const double* column = kernel_.series->coefficients.data() + distance * kTerms * kTerms;
    for (int l = 0; l < kTerms; l += 2, column += 2 * kTerms) {
      unroll<kSets * kVectors>([&](auto i) {
        constexpr int kTerm = i / kVectors * kTerms;  // the first of the set's
        const W even = W::load(column + i % kVectors * W::kLanes);
        const W odd = W::load(column + kTerms + i % kVectors * W::kLanes);
        lower.even[i] = multiply_add(even, W::broadcast(below[kTerm + l]), lower.even[i]);
        lower.odd[i] = multiply_add(odd, W::broadcast(below[kTerm + l + 1]), lower.odd[i]);
        upper.even[i] = multiply_add(even, W::broadcast(above[kTerm + l]), upper.even[i]);
        upper.odd[i] = multiply_add(odd, W::broadcast(above[kTerm + l + 1]), upper.odd[i]);
      });
    }
  }

  GridKernel kernel_;
  const double* moments_;
  int64_t boxes_;
  double base_ = 0;
  std::vector<unsigned char> holds_;  // whether a box has a moment, with any weights
  std::vector<Below> below_;          // what lies in boxes below, for orders up to 0
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
