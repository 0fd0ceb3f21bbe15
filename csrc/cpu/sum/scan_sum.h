#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/cdf/exponential_sum.h"
#include "core/row/scaled_difference.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

namespace scan {

// A block is as many runs of consecutive items as a vector has lanes, and the runs advance
// together.
using Lanes = Vector<double>;
constexpr int kRuns = Lanes::kLanes;
constexpr int kLength = 1024 / kRuns;  // of a run, at most

/// A number for each item of a block: row r is that of the r-th item of every run, counted from 1,
/// and row 0 that of the items before the runs.
struct Rows {
  static constexpr int kWidth = kRuns;
  alignas(sizeof(double) * kWidth) double values[(kLength + 1) * kWidth];

  double* operator[](int64_t row) { return values + row * kWidth; }
  const double* operator[](int64_t row) const { return values + row * kWidth; }
};

// From kFarInPowers on, e^-kFarInPowers < 2^-48, e^-t stands for all of a sum of its powers; below
// it none of them is a denormal number.
constexpr double kFarInPowers = 33.5;
constexpr double kNegligibleInPowers = 2.8e-15;  // e^-kFarInPowers

/// A row in the order of a scan: upwards, or downwards with the signs of the values turned. Either
/// way values ascend. They are taken times `unit`, so that no difference overflows.
template <class Scalar, bool upwards>
struct Items {
  static constexpr int kStep = upwards ? 1 : -1;
  const Scalar* sorted;
  int64_t count;
  double unit;

  int64_t position(int64_t i) const { return upwards ? i : count - 1 - i; }

  /// How many there are of the `length` items from i on.
  int64_t present(int64_t i, int64_t length) const {
    const int64_t left = i < count ? count - i : 0;
    return left < length ? left : length;
  }

  /// rows = sign · values in the block from `begin` on. Where the row has ended, its last item.
  void load(const Scalar* values, double sign, int64_t begin, int64_t length, Rows* rows) const {
    constexpr int kWidth = kRuns;
    const double last = sign * static_cast<double>(values[position(count - 1)]);
    for (int run = 0; run < kWidth; ++run) {
      const int64_t first = begin + run * length;
      const int64_t end = present(first, length);
      const Scalar* from = values + position(end > 0 ? first : 0);
      double* to = (*rows)[1] + run;
      for (int64_t i = 0; i < end; ++i)
        to[i * kWidth] = sign * static_cast<double>(from[i * kStep]);
      for (int64_t i = end; i < length; ++i) to[i * kWidth] = last;
    }
  }

  /// results = half, or += half in the second scan.
  void store(const Rows& half, int64_t begin, int64_t length, Scalar* results) const {
    constexpr int kWidth = kRuns;
    for (int run = 0; run < kWidth; ++run) {
      const int64_t first = begin + run * length;
      const int64_t end = present(first, length);
      const double* from = half[1] + run;
      Scalar* to = results + position(end > 0 ? first : 0);
      for (int64_t i = 0; i < end; ++i) {
        const double other = upwards ? 0 : static_cast<double>(to[i * kStep]);
        to[i * kStep] = static_cast<Scalar>(other + from[i * kWidth]);
      }
    }
  }
};

/// The distances in a block, and from the state that comes before each run. The state behind item
/// b is Σ_{j <= b} w_j e^-pα(a - x_j) with an anchor a <= b that stays while it is near: between
/// close items nothing is rounded over and over.
struct Block {
  int64_t length;
  int64_t rows_in_reach;  // in the others e^-α(x_i - a) counts as 0
  Rows points;            // x_i; row 0: b
  Rows steps;             // e^-α(x_i - x_(i-1)); no row 0
  Rows factors;           // of its powers: the same, or 0 where they are negligible
  double reach[kRuns];    // e^-α(b - a)
  double fade[kRuns];     // e^-α(a' - a), a' the anchor of the next run
  double growth[kRuns];   // e^α(b' - a')
  double next_anchor;
  double next_reach;
};

template <class Row>
void first_block(const Row& items, Block* block) {
  block->length = 0;
  block->next_anchor =
      Row::kStep * items.unit * static_cast<double>(items.sorted[items.position(0)]);
  block->points[0][kRuns - 1] = block->next_anchor;
  block->next_reach = 1;
}

/// The block from `begin` on; `block` is the one before it.
template <class Row>
void next_block(const Row& items, double strength, int64_t begin, Block* block) {
  constexpr int kWidth = kRuns;
  Rows& points = block->points;
  const double before = points[block->length][kWidth - 1];
  const int64_t length = (items.present(begin, kWidth * kLength) + kWidth - 1) / kWidth;
  block->length = length;
  items.load(items.sorted, Row::kStep * items.unit, begin, length, &points);
  points[0][0] = before;
  for (int run = 1; run < kWidth; ++run) points[0][run] = points[length][run - 1];

  const double* x = points[1];
  double* steps = block->steps[1];
  for (int64_t i = 0; i < length * kWidth; ++i) steps[i] = strength * (x[i] - x[i - kWidth]);
  decay_all(steps, length * kWidth);
  double* factors = block->factors[1];
  for (int64_t i = 0; i < length * kWidth; ++i) {
    factors[i] = steps[i] > kNegligibleInPowers ? steps[i] : 0;
  }

  constexpr double kNear = 0.5;
  int64_t reached = 0;
  for (int run = 0; run < kWidth; ++run) {
    const double anchor = block->next_anchor;
    while (reached < length && strength * (points[reached + 1][run] - anchor) < kNegligibleFrom)
      ++reached;
    const double distance = strength * (points[length][run] - anchor);
    const bool near = distance < kNear;
    double decayed = distance;
    decay_all(&decayed, 1);
    block->reach[run] = block->next_reach;
    block->fade[run] = near ? 1 : decayed;
    block->growth[run] = near ? 1 / decayed : 1;
    block->next_reach = near ? decayed : 1;
    block->next_anchor = near ? anchor : points[length][run];
  }
  block->rows_in_reach = reached;
}

/// sums = Σ_p c_p Σ_{j before i} w_j u_ij^p; row 0 of the weights is 0. Takes the state,
/// Sum::kTerms numbers, from before the block to behind it.
template <class Sum>
void weighted_sums(const Block& block, const Rows& weights, double* state, Rows* sums) {
  constexpr int kTerms = Sum::kTerms;
  constexpr int kWidth = kRuns;
  constexpr auto kCoefficients = Sum::kCoefficients;
  static_assert(kTerms * kFarInPowers < 708);
  Lanes run_state[kTerms];  // as if nothing was before the runs
  for (int p = 0; p < kTerms; ++p) run_state[p] = Lanes::broadcast(0);
  for (int64_t row = 1; row <= block.length; ++row) {
    const auto step = Lanes::load(block.steps[row]);
    const auto factor = Lanes::load(block.factors[row]);
    const auto weight = Lanes::load(weights[row - 1]);
    auto power = step;
    auto sum = Lanes::broadcast(0);
    for (int p = 0; p < kTerms; ++p) {
      run_state[p] = (run_state[p] + weight) * power;
      sum = multiply_add(Lanes::broadcast(kCoefficients[p]), run_state[p], sum);
      power = power * factor;
    }
    sum.store((*sums)[row]);
  }

  double behind[kTerms][kWidth], before[kTerms][kWidth];
  for (int p = 0; p < kTerms; ++p) run_state[p].store(behind[p]);
  for (int run = 0; run < kWidth; ++run) {
    double fade = 1, growth = 1;
    for (int p = 0; p < kTerms; ++p) {
      fade *= block.fade[run];
      growth *= block.growth[run];
      before[p][run] = kCoefficients[p] * state[p];
      state[p] = state[p] * fade + (behind[p][run] + weights[block.length][run]) * growth;
    }
  }

  auto reach = Lanes::load(block.reach);
  for (int64_t row = 1; row <= block.rows_in_reach; ++row) {
    reach = reach * Lanes::load(block.steps[row]);
    auto polynomial = Lanes::load(before[kTerms - 1]);
    for (int p = kTerms - 2; p >= 0; --p) {
      polynomial = multiply_add(polynomial, reach, Lanes::load(before[p]));
    }
    multiply_add(polynomial, reach, Lanes::load((*sums)[row])).store((*sums)[row]);
  }
}

/// Equal values take what the first of them has. `last` is what the item before the block has, and
/// then its last one.
inline void share_among_equals(const Block& block, double* last, Rows* rows) {
  constexpr int kWidth = kRuns;
  const Rows& points = block.points;
  Rows equal;
  for (int64_t i = kWidth; i < (block.length + 1) * kWidth; ++i) {
    equal.values[i] = points.values[i] == points.values[i - kWidth] ? 1 : 0;
    rows->values[i] *= 1 - equal.values[i];
  }
  auto shared = Lanes::broadcast(0);
  for (int64_t row = 1; row <= block.length; ++row) {
    shared = multiply_add(Lanes::load(equal[row]), shared, Lanes::load((*rows)[row]));
    shared.store((*rows)[row]);
  }
  for (int run = 0; run < kWidth; ++run) {
    for (int64_t row = 1; row <= block.length && points[row][run] == points[0][run]; ++row) {
      (*rows)[row][run] = *last;
    }
    *last = (*rows)[block.length][run];
  }
}

/// ±(count/2 - Σ F(-d)) over the items on one side, and `base`: downwards, where it and the count
/// are whole halves that add up to few for the lowest items.
template <class Cdf, class Row, class Scalar>
void ranks(const Row& items, double strength, double base, Scalar* results) {
  using Sum = ExponentialSum<Cdf, Scalar, 0>;
  constexpr int kWidth = kRuns;
  Block block;
  Rows ones, half;
  double state[Sum::kTerms] = {};
  const double own_base = Row::kStep < 0 ? base : 0;
  double last = own_base;
  first_block(items, &block);
  for (int64_t begin = 0; begin < items.count; begin += kWidth * block.length) {
    next_block(items, strength, begin, &block);
    if (begin == 0) {  // no block is longer than the first
      for (int64_t i = 0; i < (block.length + 1) * kWidth; ++i) ones.values[i] = i < kWidth ? 0 : 1;
    }
    weighted_sums<Sum>(block, ones, state, &half);
    double first[kWidth];
    for (int run = 0; run < kWidth; ++run) {
      first[run] = own_base + static_cast<double>(begin + run * block.length) * (Row::kStep * 0.5);
    }
    auto half_count = Lanes::load(first);
    for (int64_t row = 1; row <= block.length; ++row) {
      const auto sum = Lanes::load(half[row]);
      multiply_add(Lanes::broadcast(-Row::kStep), sum, half_count).store(half[row]);
      half_count = half_count + Lanes::broadcast(Row::kStep * 0.5);
    }
    share_among_equals(block, &last, &half);
    items.store(half, begin, block.length, results);
  }
}

/// Π_l (v_l[i] - v_l[j]) multiplied out: a subset of the directions is taken at j, the others at i.
template <class Cdf, int order, class Row, class Scalar>
void derivatives(const Row& items, double strength, const Scalar* const* directions,
                 Scalar* results) {
  using Sum = ExponentialSum<Cdf, Scalar, order>;
  constexpr int kWidth = kRuns;
  constexpr int kSubsets = 1 << order;
  constexpr double kSide = order % 2 == 0 ? Row::kStep : 1;  // F^(order) is odd, or even
  Block block;
  Rows values[order], weights, sums, half;
  for (int run = 0; run < kWidth; ++run) weights[0][run] = 0;
  double state[kSubsets][Sum::kTerms] = {};
  double last[kSubsets] = {};
  first_block(items, &block);
  for (int64_t begin = 0; begin < items.count; begin += kWidth * block.length) {
    next_block(items, strength, begin, &block);
    for (int l = 0; l < order; ++l) {
      items.load(directions[l], 1, begin, block.length, &values[l]);
    }
    const int64_t end = (block.length + 1) * kWidth;
    for (int subset = 0; subset < kSubsets; ++subset) {
      for (int64_t i = kWidth; i < end; ++i) {
        double weight = 1;
        for (int l = 0; l < order; ++l) weight *= subset >> l & 1 ? values[l].values[i] : 1;
        weights.values[i] = weight;
      }
      weighted_sums<Sum>(block, weights, state[subset], &sums);
      share_among_equals(block, &last[subset], &sums);
      for (int64_t i = kWidth; i < end; ++i) {
        double factor = kSide;
        for (int l = 0; l < order; ++l) factor *= subset >> l & 1 ? -1 : values[l].values[i];
        half.values[i] = (subset == 0 ? 0 : half.values[i]) + factor * sums.values[i];
      }
    }
    items.store(half, begin, block.length, results);
  }
}

template <class Cdf, class Row, class Scalar>
void one_way(const Row& items, double strength, const Scalar* const* directions, int order,
             double base, Scalar* results) {
  static_assert(kMostScannedOrder<Cdf> == 2);
  if (order == 0) {
    ranks<Cdf>(items, strength, base, results);
  } else if (order == 1) {
    derivatives<Cdf, 1>(items, strength, directions, results);
  } else {
    derivatives<Cdf, 2>(items, strength, directions, results);
  }
}

/// Adds what equal values are to each other, F'(0) Σ_j (v_i - v_j): the scans leave them out.
template <class Cdf, class Scalar>
void add_equals(const Scalar* sorted, int64_t count, const Scalar* direction, Scalar* sums) {
  const double slope = Cdf::first_derivative(Cdf::coordinate(0.0));
  for (int64_t begin = 0, end = 0; begin < count; begin = end) {
    double total = 0;
    for (end = begin; end < count && sorted[end] == sorted[begin]; ++end) total += direction[end];
    if (end - begin == 1) continue;
    const double equals = static_cast<double>(end - begin);
    for (int64_t i = begin; i < end; ++i) {
      sums[i] += static_cast<Scalar>(slope * (direction[i] * equals - total));
    }
  }
}

}  // namespace scan

/// The kernel sums of a row of ascending finite values, in O(count):
///
///     order 0:   sums[i] = base + Σ_j F(d_ij) - 1/2,                     d_ij = α (x_i - x_j)
///     order k:   sums[i] = Σ_j Π_{l<k} (v_l[i] - v_l[j]) F^(k)(d_ij),    k <= 2
///
/// Where F^(k)(d), d >= 0, is Σ_p c_p u^p with u = e^-d, the items below i enter as c_p times
///
///     Σ_{j < i} w_j u_ij^p = e^-pα(x_i - x_(i-1)) (w_(i-1) + Σ_{j < i-1} w_j u_(i-1)j^p),
///
/// a scan in double; a second one, downwards, adds those above. Equal values (with equal
/// directions) get equal bits. `directions` should be centred.
template <class Cdf, class Scalar>
void scan_sum(const FiniteRow<Scalar>& row, double regularization_strength,
              const Scalar* const* directions, int order, double base, Scalar* sums) {
  const Scalar* sorted = row.values;
  const int64_t count = row.count;
  const double spread = static_cast<double>(row.maximum) - static_cast<double>(row.minimum);
  const double unit = std::isfinite(spread) ? 1 : 0.5;
  const double strength =
      std::min(regularization_strength / unit, std::numeric_limits<double>::max());
  scan::one_way<Cdf>(scan::Items<Scalar, true>{sorted, count, unit}, strength, directions, order,
                     base, sums);
  scan::one_way<Cdf>(scan::Items<Scalar, false>{sorted, count, unit}, strength, directions, order,
                     base, sums);
  if (order == 1) scan::add_equals<Cdf>(sorted, count, directions[0], sums);
}

/// sums[i] = base + Σ_j F(d_ij) - 1/2 of ascending values where F(-d) = e^-d/2, with nothing that
/// cancels in a narrow row: of the items below, F - 1/2 adds up to M_i/2, M_i = Σ_j 1 - e^-d_ij,
/// and
///
///     M_i = E i + (1 - E) M_(i-1),    E = 1 - e^-α(x_i - x_(i-1)),
///
/// whose terms are all positive. Likewise of those above. `grown` is memory for E.
template <class Scalar>
void centered_scan_sum(const Scalar* sorted, int64_t count, double regularization_strength,
                       double base, std::vector<double>& grown, Scalar* sums) {
  grown.resize(count);  // E
  for (int64_t i = 1; i < count; ++i) {
    const double gap = static_cast<double>(sorted[i]) - static_cast<double>(sorted[i - 1]);
    grown[i] = exponential_growth(
        std::isfinite(gap) ? regularization_strength * gap
                           : scaled_difference(regularization_strength, sorted[i], sorted[i - 1]));
  }
  double below = 0;
  for (int64_t i = 0; i < count; ++i) {
    below += grown[i] * (static_cast<double>(i) - below);
    sums[i] = static_cast<Scalar>(base + below / 2);
  }
  double above = 0;
  for (int64_t i = count - 2; i >= 0; --i) {
    above += grown[i + 1] * (static_cast<double>(count - 1 - i) - above);
    sums[i] = static_cast<Scalar>(static_cast<double>(sums[i]) - above / 2);
  }
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
