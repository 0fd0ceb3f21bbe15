#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "core/series/kernel_series.h"
#include "cuda/inverse/level_search.cuh"
#include "cuda/inverse/quantile_row.cuh"
#include "cuda/series/series_tables.h"
#include "cuda/sum/many_boxes.cuh"

namespace rank_relax::cuda {

// Long rows that span few boxes beside their items. On a grid of boxes, the smoothed count is in
// each box
//
//     G(y) = (items in boxes below) + P(t)          t = coordinate of y in its box, in [-1, 1]
//
// with one polynomial P a box (core/series/quantile_series.h), and a level is found by a search
// among the boxes' lower edges and then in one polynomial: O(1) an item, O(reach) a box, O(log
// boxes) a level. So many empty boxes lie on both sides of the items that every level is in one of
// them.
//
// The moments are in fixed point, as in many_boxes.cuh, but of each box its own, by the number of
// its items: so the counts come first.

constexpr int kQuantileTerms = kGridTerms[kDouble];

/// Of one row.
struct QuantileGrid {
  double origin;  // an item's position is (x - origin) * per_width
  double width, per_width;
  int64_t margin, boxes;
};

/// Boxes of a row's grid at most: those that span its items, and the margins.
constexpr int64_t kMostMargin = SmoothCdfs::kMostBoxesOfTails + 2;
RANK_RELAX_HOST_DEVICE inline int64_t most_spanned_boxes(int64_t size) { return 64 + size / 16; }
RANK_RELAX_HOST_DEVICE inline int64_t most_quantile_boxes(int64_t size) {
  return most_spanned_boxes(size) + 2 * kMostMargin;
}

/// Memory of one row's grid, one number or [term] a box.
struct QuantileGridMemory {
  Fixed* counts;
  Fixed* moments;      // [term], of the box's fixed point
  double* per_unit;    // what one unit of it is
  int64_t* below;      // items in the boxes below, and one more: all items
  double* powers;      // [term] of P
  double* lower_edge;  // P(-1)

  static constexpr size_t bytes(int64_t most_boxes) {
    return static_cast<size_t>(most_boxes * (2 * kQuantileTerms + 4) + 1) * sizeof(double);
  }

  __device__ QuantileGridMemory(void* memory, int64_t most_boxes) {
    counts = static_cast<Fixed*>(memory);
    moments = counts + most_boxes;
    per_unit = reinterpret_cast<double*>(moments + most_boxes * kQuantileTerms);
    below = reinterpret_cast<int64_t*>(per_unit + most_boxes);
    powers = reinterpret_cast<double*>(below + most_boxes + 1);
    lower_edge = powers + most_boxes * kQuantileTerms;
  }
};

/// Whether a row has a grid, and which.
__device__ inline bool place_quantile_grid(const QuantileTables& tables, double strength,
                                           const RowStatistics& found, int64_t size,
                                           QuantileGrid& grid) {
  if (found.finite == 0) return false;
  const double boxes = scaled_difference(strength, found.maximum, found.minimum) / tables.box_width;
  grid.origin = found.minimum;
  grid.width = tables.box_width / strength;
  grid.per_width = strength / tables.box_width;
  grid.margin = tables.box_reach + 1;
  if (!(boxes < static_cast<double>(most_spanned_boxes(size) - 2))) return false;
  const double farthest = (boxes + 2.0 * static_cast<double>(grid.margin)) * grid.width;
  if (!isfinite(found.maximum - found.minimum) || !isfinite(farthest) ||
      !isfinite(grid.per_width)) {
    return false;
  }
  grid.boxes = static_cast<int64_t>(rint((found.maximum - grid.origin) * grid.per_width)) + 1 +
               2 * grid.margin;
  return true;
}

/// The box of an item, and its coordinate there.
__device__ inline int64_t quantile_box_of(const QuantileGrid& grid, double value, double& s) {
  const double position = (value - grid.origin) * grid.per_width, nearest = rint(position);
  s = 2 * (position - nearest);
  // Within bounds though another kernel should write to the values meanwhile.
  const auto last = static_cast<double>(grid.boxes - 1);
  const double box = nearest + static_cast<double>(grid.margin);
  return static_cast<int64_t>(Larger()(0, Smaller()(box, last)));
}

/// Numbers of a block's own for each box that its row spans, in shared memory, where many items
/// that meet in a box cost less than in global memory. Numbers of 64 bits are two of 32, which
/// shared memory adds at once, and the carry is what the first of these tells: so the sums are the
/// same in any order.
class BoxesOfABlock {
 public:
  static constexpr int kMost = kQuantileTerms - 1;  // numbers of a box

  /// `count` numbers a box, if they fit in the bytes of dynamic shared memory of a block and its
  /// items are enough to be worth it. By the threads of a block, as what follows.
  __device__ BoxesOfABlock(const QuantileGrid& grid, int count, int64_t items, int64_t bytes)
      : first_(grid.margin), count_(count) {
    const int64_t spanned = grid.boxes - 2 * grid.margin;
    const bool fits = spanned * count * static_cast<int64_t>(2 * sizeof(uint32_t)) <= bytes;
    constexpr int64_t kFewestItemsABox = 2;
    boxes_ = fits && spanned * kFewestItemsABox <= items ? static_cast<int>(spanned) : 0;
    low_ = reinterpret_cast<uint32_t*>(dynamic_shared_memory());
    high_ = low_ + boxes_ * count_;
    for (int i = threadIdx.x; i < boxes_ * count_; i += blockDim.x) low_[i] = high_[i] = 0;
    __syncthreads();
  }

  /// Adds to number `l` of a box, or to what is its place in global memory.
  __device__ void add(int64_t box, int l, Fixed value, Fixed* in_global) const {
    const int64_t here = box - first_;
    if (here < 0 || here >= boxes_) {
      atomicAdd(in_global, value);
      return;
    }
    const int at = static_cast<int>(here) * count_ + l;
    const auto low = static_cast<uint32_t>(value);
    const uint32_t before = atomicAdd(low_ + at, low);
    const uint32_t carry = before + low < before ? 1 : 0;
    atomicAdd(high_ + at, static_cast<uint32_t>(value >> 32) + carry);
  }

  /// place_of(box, l) gets what the block has added.
  template <class PlaceOf>
  __device__ void flush(const PlaceOf& place_of) const {
    __syncthreads();
    for (int i = threadIdx.x; i < boxes_ * count_; i += blockDim.x) {
      const Fixed value = static_cast<Fixed>(high_[i]) << 32 | low_[i];
      if (value != 0) atomicAdd(place_of(first_ + i / count_, i % count_), value);
    }
  }

 private:
  int64_t first_;
  int boxes_, count_;
  uint32_t *low_, *high_;
};

/// Bytes of shared memory that a block has for boxes of `count` numbers, of a row of `size` items:
/// so many that three blocks share a multiprocessor of sm_90, and at most those that it can have.
inline int64_t bytes_of_boxes(int64_t size, int count, int64_t most_it_can_have) {
  constexpr int64_t kMost = 64 << 10;
  const int64_t wanted = most_spanned_boxes(size) * count * static_cast<int64_t>(sizeof(Fixed));
  const int64_t most = most_it_can_have < kMost ? most_it_can_have : kMost;
  return wanted < most ? wanted : most;
}

/// Counts items [begin, end) in their boxes, by the threads of a block.
__device__ inline void count_in_boxes(const RowBatch& source, const QuantileGrid& grid,
                                      const ItemRange& items, Fixed* counts, int64_t bytes) {
  const int64_t row = items.row, end = items.end;
  const BoxesOfABlock own(grid, 1, end - items.begin, bytes);
  for (int64_t i = items.begin + threadIdx.x; i < end; i += blockDim.x) {
    double value, s;
    if (load_double(source, row, i, value) != Kind::kFinite) continue;
    const int64_t box = quantile_box_of(grid, value, s);
    own.add(box, 0, 1, counts + box);
  }
  own.flush([&](int64_t box, int) { return counts + box; });
}

/// Adds their powers s, s², .. to the moments.
__device__ inline void add_quantile_moments(const RowBatch& source, const QuantileGrid& grid,
                                            const ItemRange& items,
                                            const QuantileGridMemory& memory, int64_t bytes) {
  const int64_t row = items.row, end = items.end;
  const auto place_of = [&](int64_t box, int l) {
    return memory.moments + box * kQuantileTerms + 1 + l;
  };
  const BoxesOfABlock own(grid, BoxesOfABlock::kMost, end - items.begin, bytes);
  for (int64_t i = items.begin + threadIdx.x; i < end; i += blockDim.x) {
    double value, s;
    if (load_double(source, row, i, value) != Kind::kFinite) continue;
    const int64_t box = quantile_box_of(grid, value, s);
    double power = s / memory.per_unit[box];
    for (int l = 0; l < BoxesOfABlock::kMost; ++l, power *= s) {
      own.add(box, l, static_cast<Fixed>(llrint(power)), place_of(box, l));
    }
  }
  own.flush(place_of);
}

/// below[] and per_unit[] from the counts, which are the first moments too; by a block.
__device__ inline void scan_boxes(const QuantileGrid& grid, const QuantileGridMemory& memory) {
  int64_t before = 0;
  if (threadIdx.x == 0) memory.below[0] = 0;
  for (int64_t first = 0; first < grid.boxes; first += blockDim.x) {
    const int64_t box = first + threadIdx.x;
    const auto here = box < grid.boxes ? static_cast<int64_t>(memory.counts[box]) : 0;
    int64_t total;
    const int64_t scanned = scan_in_block(here, Sum(), total);
    if (box < grid.boxes) {
      const double unit = fixed_point_unit(here);
      memory.below[box + 1] = before + scanned;
      memory.per_unit[box] = 1 / unit;
      memory.moments[box * kQuantileTerms] = static_cast<Fixed>(llrint(unit)) * here;
    }
    before += total;
  }
}

/// Σ_l (±1)^l series[l][k] moments[l] of one box.
__device__ inline double from_box(const QuantileGridMemory& memory, int64_t box, double sign,
                                  const double* series, int k) {
  if (memory.counts[box] == 0) return 0;
  const Fixed* moments = memory.moments + box * kQuantileTerms;
  double sum = 0;
  for (int l = 0; l < kQuantileTerms; l += 2) {
    const auto even = static_cast<double>(static_cast<int64_t>(moments[l]));
    const auto odd = static_cast<double>(static_cast<int64_t>(moments[l + 1]));
    sum += series[l * kQuantileTerms + k] * even;
    sum += sign * series[(l + 1) * kQuantileTerms + k] * odd;
  }
  return sum * memory.per_unit[box];
}

/// The coefficient of t^k in P of a box.
__device__ inline double power_of_box(const QuantileTables& tables, const QuantileGrid& grid,
                                      const QuantileGridMemory& memory, int64_t box, int k) {
  double from_lower = 0, from_upper = 0;
  for (int64_t distance = tables.box_reach; distance > 0; --distance) {
    const double* series = tables.tails + (distance - 1) * kQuantileTerms * kQuantileTerms;
    if (box >= distance) from_lower += from_box(memory, box - distance, 1, series, k);
    if (box + distance < grid.boxes) from_upper += from_box(memory, box + distance, -1, series, k);
  }
  const double own = from_box(memory, box, 1, tables.own, k);
  const double half = k == 0 ? static_cast<double>(memory.counts[box]) / 2 : 0;
  return (own - from_lower) + (k % 2 == 0 ? from_upper : -from_upper) + half;
}

/// P of all boxes, a thread a coefficient, by one of `blocks` blocks.
__device__ inline void find_polynomials(const QuantileTables& tables, const QuantileGrid& grid,
                                        const QuantileGridMemory& memory, int64_t block,
                                        int64_t blocks) {
  const int64_t numbers = grid.boxes * kQuantileTerms;
  for (int64_t i = block * blockDim.x + threadIdx.x; i - lane() < numbers;
       i += blocks * blockDim.x) {
    const int64_t box = i / kQuantileTerms;
    const int k = static_cast<int>(i % kQuantileTerms);
    const double power = i < numbers ? power_of_box(tables, grid, memory, box, k) : 0;
    double edge = k % 2 == 0 ? power : -power;
    for (int distance = kQuantileTerms / 2; distance > 0; distance /= 2) {
      edge += __shfl_xor_sync(kAllLanes, edge, distance);
    }
    if (i >= numbers) continue;
    memory.powers[i] = power;
    if (k == 0) memory.lower_edge[box] = edge;
  }
}

/// The last box whose lower edge is not above a level.
__device__ inline int64_t box_of_level(const QuantileGrid& grid, const QuantileGridMemory& memory,
                                       double level) {
  int64_t box = 0;
  for (int64_t behind = grid.boxes; behind - box > 1;) {
    const int64_t middle = box + (behind - box) / 2;
    const double wanted = level - static_cast<double>(memory.below[middle]);
    (wanted >= memory.lower_edge[middle] ? box : behind) = middle;
  }
  return box;
}

/// Whether the level is the number of items below its box, and no item is in reach on one of the
/// box's sides: G is flat there.
__device__ inline bool is_flat(const QuantileTables& tables, const QuantileGrid& grid,
                               const QuantileGridMemory& memory, int64_t box, double level) {
  const int64_t* below = memory.below;
  const int64_t reach = tables.box_reach, behind = box + reach + 1;
  if (memory.counts[box] != 0 || level != static_cast<double>(below[box])) return false;
  const bool any_below = below[box] != below[box > reach ? box - reach : 0];
  const bool any_above = below[behind < grid.boxes ? behind : grid.boxes] != below[box];
  return !(any_below && any_above);
}

/// Where a coordinate of a box is.
__device__ inline double point_in_grid(const QuantileGrid& grid, int64_t box, double t) {
  return fma(static_cast<double>(box - grid.margin) + t / 2, grid.width, grid.origin);
}

/// One place of the results, by a thread. Whole levels in a wide gap are left out.
__device__ inline void solve_in_grid(const Quantile& problem, const QuantileTables& tables,
                                     const QuantileGrid& grid, const QuantileGridMemory& memory,
                                     const WantedLevel& wanted_level) {
  const double level = wanted_level.level;
  const int64_t box = box_of_level(grid, memory, level);
  if (is_flat(tables, grid, memory, box, level)) return;
  const double wanted = level - static_cast<double>(memory.below[box]);
  const double* powers = memory.powers + box * kQuantileTerms;
  double slope = 0;
  const auto polynomial = [&](double t) {
    double value = powers[kQuantileTerms - 1];
    slope = 0;
    for (int k = kQuantileTerms - 2; k >= 0; --k) {
      slope = slope * t + value;
      value = value * t + powers[k];
    }
    return Step{value - wanted, slope};
  };
  const double lower = memory.lower_edge[box], middle = powers[0], upper = polynomial(1).value;
  // From where two straight lines through P at -1, 0 and 1 have the value.
  const double guess = wanted < middle ? (wanted - middle) / (middle - lower)
                                       : (wanted - middle) / (upper + wanted - middle);
  const double t = find_root(polynomial, fabs(guess) <= 1 ? guess : 0, -1, 1);
  const double density = problem.densities != nullptr ? polynomial(t).slope : 0;
  write_point(problem, wanted_level.row, wanted_level.place, point_in_grid(grid, box, t),
              Larger()(0, density * 2 / tables.box_width));
}

}  // namespace rank_relax::cuda
