#pragma once

#include <cstdint>
#include <limits>

#include "cuda/inverse/topk_threshold.cuh"
#include "cuda/launch/team.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/soft_topk.h"
#include "cuda/sort/block_sort.cuh"

namespace rank_relax::cuda {

// Masks of rows that a warp or a block has in shared memory: read once, searched and written by one
// kernel.

/// A row of `size` values, those that are not finite as +inf, and the threads that have it.
template <class Scalar, class Team>
struct TopKRow {
  Scalar* values;
  int size;
  Team& team;

  /// add(x) for the values of this thread.
  template <class Add>
  __device__ void for_each(const Add& add) const {
    for (int i = team.rank(); i < size; i += team.size()) add(values[i]);
  }

  template <class Predicate>
  __device__ int count(const Predicate& holds) const {
    int number = 0;
    for_each([&](Scalar x) { number += holds(x) ? 1 : 0; });
    return team.reduce(number, Sum());
  }

  /// The smallest value that `holds`.
  template <class Predicate>
  __device__ Scalar smallest(const Predicate& holds) const {
    Scalar least = std::numeric_limits<Scalar>::infinity();
    for_each([&](Scalar x) { least = holds(x) && x < least ? x : least; });
    return team.reduce(least, [](Scalar a, Scalar b) { return b < a ? b : a; });
  }

  struct Neighbours {
    Scalar at, next;
  };

  /// The finite item at place ceil(level) - 1 in ascending order, and the one at floor(level), by
  /// bisection: of their keys, so that it takes no more steps than these have bits.
  __device__ Neighbours around(double level, const TopKCounts& counts) const {
    using Key = SortKey<Scalar>;
    const auto place = static_cast<int>(ceil(level)) - 1;
    Key lower = key_of(static_cast<Scalar>(counts.minimum), true);
    Key upper = key_of(static_cast<Scalar>(counts.maximum), true);
    int before = 0, behind = static_cast<int>(counts.finite);  // below lower, and up to upper
    while (lower < upper && behind - before > 1) {
      const Key middle = lower + (upper - lower) / 2;
      const auto pivot = value_of<Scalar>(middle);
      const int up_to = count([&](Scalar x) { return x <= pivot; });
      if (up_to > place) {
        upper = middle;
        behind = up_to;
      } else {
        lower = middle + 1;
        before = up_to;
      }
    }
    const auto least = value_of<Scalar>(lower);
    const Scalar at = smallest([&](Scalar x) { return x >= least; });
    if (level != floor(level) || behind > place + 1) return {at, at};
    return {at, smallest([&](Scalar x) { return x > at; })};
  }
};

/// Reads a row and its k, and counts its items.
template <class Scalar, class Team>
__device__ TopKCounts load_topk_row(const SoftTopK& problem, int64_t number,
                                    const TopKRow<Scalar, Team>& row) {
  constexpr Scalar infinity = std::numeric_limits<Scalar>::infinity();
  int finite = 0, below = 0, above = 0;
  Scalar minimum = infinity, maximum = -infinity;
  for (int i = row.team.rank(); i < row.size; i += row.team.size()) {
    Scalar value;
    const Kind kind = load_item(problem, number, i, value);
    below += kind == Kind::kBelow;
    above += kind == Kind::kAbove;
    row.values[i] = kind == Kind::kFinite ? value : infinity;
    if (kind != Kind::kFinite) continue;
    ++finite;
    minimum = value < minimum ? value : minimum;
    maximum = value > maximum ? value : maximum;
  }
  TopKCounts counts;
  counts.finite = row.team.reduce(finite, Sum());
  counts.below = row.team.reduce(below, Sum());
  counts.above = row.team.reduce(above, Sum());
  counts.minimum = row.team.reduce(minimum, [](Scalar a, Scalar b) { return b < a ? b : a; });
  counts.maximum = row.team.reduce(maximum, [](Scalar a, Scalar b) { return b > a ? b : a; });
  const double wanted = row.team.rank() == 0 ? load<double>(problem.numbers, number, 0) : 0;
  counts.wanted = row.team.reduce(wanted, Sum());
  row.team.sync();
  return counts;
}

/// The sums over a warp of those of its threads: of float, if that is what they come from.
template <int kCount>
__device__ void add_lanes(bool in_single, double (&sums)[kCount]) {
#pragma unroll
  for (int l = 0; l < kCount; ++l) {
    sums[l] = in_single ? static_cast<double>(reduce_in_warp(static_cast<float>(sums[l]), Sum()))
                        : reduce_in_warp(sums[l], Sum());
  }
}

/// Writes the share of an item that is not finite, and its density.
__device__ inline void write_without_search(const SoftTopK& problem, const TopKShare& share,
                                            int64_t number, int64_t i, Kind kind) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const int64_t at = number * problem.size + i;
  const double chosen = kind == Kind::kNan     ? nan
                        : kind == Kind::kAbove ? share.of_tops
                        : kind == Kind::kBelow ? share.of_bottoms
                                               : 0;
  store(problem.chosen, at, chosen);
  problem.densities[at] = kind == Kind::kNan ? nan : 0;
}

/// Writes the share of a finite item, and its density.
template <class Cdf>
__device__ void write_share(const SoftTopK& problem, const TopKShare& share,
                            const TopKThreshold& threshold, int64_t at, double x) {
  double chosen = share.of_finite, density = isnan(share.of_finite) ? share.of_finite : 0;
  if (share.has_level) {
    const UpperTail<double> here = share_and_density<Cdf>(threshold, x);
    chosen = here.mass;
    density = here.density;
  }
  store(problem.chosen, at, chosen);
  problem.densities[at] = density;
}

/// One row, by a team.
template <class Cdf, class Scalar, class Team>
__device__ void choose_in_row(const SoftTopK& problem, int64_t number,
                              const TopKRow<Scalar, Team>& row) {
  const TopKCounts counts = load_topk_row(problem, number, row);
  const TopKShare share(counts);
  TopKThreshold threshold = {};
  if (share.has_level) {
    const auto items = row.around(share.level, counts);
    TopKSearch<Cdf, Scalar> search(items.at, items.next, counts.finite,
                                   problem.regularization_strength, share.level);
    while (!search.has_ended()) {
      double sums[TopKSearch<Cdf, Scalar>::kSums];
      search.add_items([&](const auto& add) { row.for_each(add); }, sums);
      add_lanes(search.in_single(), sums);
      row.team.add_warps(sums);
      search.take(sums);
    }
    threshold = search.threshold();
  }
  for (int i = row.team.rank(); i < row.size; i += row.team.size()) {
    const Scalar value = row.values[i];
    if (isfinite(value)) {
      write_share<Cdf>(problem, share, threshold, number * problem.size + i, value);
    } else {
      Scalar other;
      write_without_search(problem, share, number, i, load_item(problem, number, i, other));
    }
  }
  row.team.sync();
}

constexpr int kLongestTopKOfAWarp = 256;
constexpr int kTopKRowsABlock = 4;

/// Rows of up to kLongestTopKOfAWarp items, a warp each.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kTopKRowsABlock* kWarp, 4) choose_by_warps(SoftTopK problem) {
  __shared__ Scalar values[kTopKRowsABlock][kLongestTopKOfAWarp];
  WarpTeam team;
  const TopKRow<Scalar, WarpTeam> row = {values[warp()], static_cast<int>(problem.size), team};
  const int64_t step = static_cast<int64_t>(gridDim.x) * kTopKRowsABlock;
  for (int64_t number = static_cast<int64_t>(blockIdx.x) * kTopKRowsABlock + warp();
       number < problem.rows; number += step) {
    choose_in_row<Cdf>(problem, number, row);
  }
}

constexpr int kMostTopKThreads = 512;

/// Longer ones, a block each, with `size` values of dynamic shared memory.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostTopKThreads, 1) choose_by_blocks(SoftTopK problem) {
  __shared__ BlockTeam::Memory memory;
  BlockTeam team(memory);
  const TopKRow<Scalar, BlockTeam> row = {reinterpret_cast<Scalar*>(dynamic_shared_memory()),
                                          static_cast<int>(problem.size), team};
  for (int64_t number = blockIdx.x; number < problem.rows; number += gridDim.x) {
    choose_in_row<Cdf>(problem, number, row);
  }
}

}  // namespace rank_relax::cuda
