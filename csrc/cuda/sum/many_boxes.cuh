#pragma once

#include <cmath>
#include <cstdint>

#include "core/series/kernel_series.h"
#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/sum/one_box.cuh"

namespace rank_relax::cuda {

// The kernel sum of a broad row on a grid of boxes, O(1) an item and O(reach) a box:
//
//     moments[b][l] = Σ_{j in b} w_j s_j^l          s = local coordinate in [-1, 1]
//     local[b][k]   = Σ_{b' within reach} Σ_l c[b - b'][l][k] moments[b'][l]
//     Σ_j w_j K(α (x_i - x_j)) = Σ_k local[box of i][k] t_i^k
//
// and for K = F - 1/2 the items of other boxes count ±1/2 each, to which c adds their tails.
// Moments are in fixed point: |w s^l| <= 1, so 64 bits hold a row's sum to 2^-61 of its size, and
// integers add to the same bits in any order.

template <class Scalar>
constexpr int kBoxTerms = kGridTerms[precision_of<Scalar>];

using Fixed = unsigned long long;  // two's complement, as atomicAdd wants it

/// What 1 is in fixed point: 2 to this power.
__device__ inline int fixed_point_bits(int64_t size) {
  return 61 - ilogb(static_cast<double>(size) + 1) - 1;
}

__device__ inline double fixed_point_unit(int64_t size) {
  return ldexp(1.0, fixed_point_bits(size));
}

/// Where an item is: its box, and its coordinate there.
struct Place {
  int64_t box;
  double coordinate;
};

__device__ inline Place place_in_grid(const RowPlan& plan, double value) {
  const GridPlacement& grid = plan.grid;
  const double from_anchor = value - grid.anchor;
  const double nearest = rint(from_anchor * grid.strength * grid.per_scaled_width);
  const double rest = fma(-nearest, grid.width_rest, fma(-nearest, grid.width, from_anchor));
  // Within bounds though another kernel should write to the values meanwhile.
  const double box = Larger()(0, Smaller()(nearest - grid.first, plan.boxes - 1));
  return {static_cast<int64_t>(box), 2 * (rest * grid.strength * grid.per_scaled_width)};
}

/// Calls add(box, set * kBoxTerms + l, w s^l) for items [begin, end), by the threads of a block.
template <class Scalar, int kOrder, class Add>
__device__ void many_boxes_moments(const KernelSum& problem, const RowPlan& plan,
                                   const ItemRange& items, const Add& add) {
  const int64_t row = items.row, end = items.end;
  constexpr int kTerms = kBoxTerms<Scalar>;
  [[maybe_unused]] constexpr int kTermsAtOnce = sizeof(Scalar) == 4 ? kTerms : 1;
  for (int64_t i = items.begin + threadIdx.x; i < end; i += blockDim.x) {
    Scalar value;
    if (load_item(problem, row, i, value) != Kind::kFinite) continue;
    const Place place = place_in_grid(plan, value);
    double weights[kSets<kOrder>] = {};
    weights_at<Scalar, kOrder>(problem, plan, row, i, weights);
    weights[0] = 1;
    double power = 1;
#pragma unroll(kTermsAtOnce)
    for (int l = 0; l < kTerms; ++l) {
#pragma unroll
      for (int set = 0; set < kSets<kOrder>; ++set) {
        add(place.box, set * kTerms + l, weights[set] * power);
      }
      power *= place.coordinate;
    }
  }
}

/// below[b] = the items in boxes below b, in fixed point, b = 0 .. boxes, by the threads of a
/// block.
template <class Scalar, int kOrder>
__device__ void count_below(const RowPlan& plan, const Fixed* moments, Fixed* below) {
  const auto boxes = static_cast<int64_t>(plan.boxes);
  int64_t before = 0;
  if (threadIdx.x == 0) below[0] = 0;
  for (int64_t first = 0; first < boxes; first += blockDim.x) {
    const int64_t box = first + threadIdx.x;
    const int64_t here =
        box < boxes ? static_cast<int64_t>(moments[box * kSets<kOrder> * kBoxTerms<Scalar>]) : 0;
    int64_t total;
    const int64_t scanned = scan_in_block(here, Sum(), total);
    if (box < boxes) below[box + 1] = static_cast<Fixed>(before + scanned);
    before += total;
  }
}

/// Of a row on its grid, as many in 1 as the unit says.
struct GridMoments {
  const Fixed* moments;
  const Fixed* below;  // the items in the boxes before each
  double unit;
};

/// One coefficient of a box's local series from the moments of the boxes within reach.
/// K(-d) = ±K(d), so a box above adds at t, up to that sign, what its mirror image below would at
/// -t.
template <class Scalar, int kOrder>
__device__ double many_boxes_translate(const SeriesTables& tables, const RowPlan& plan,
                                       const GridMoments& grid, int64_t box, int set, int k) {
  const Fixed* moments = grid.moments;
  const Fixed* below = grid.below;
  constexpr int kTerms = kBoxTerms<Scalar>, kRow = kSets<kOrder> * kTerms;
  const auto boxes = static_cast<int64_t>(plan.boxes);
  const int64_t reach = tables.box_reach[plan.capacity];
  double lower = 0, upper = 0;
  for (int64_t distance = 0; distance <= reach; ++distance) {
    const double* series = tables.grid + distance * kTerms * kTerms + k;
    const Fixed* from = moments + set * kTerms;
    if (box >= distance) {
      for (int l = 0; l < kTerms; ++l) {
        const auto moment = static_cast<int64_t>(from[(box - distance) * kRow + l]);
        lower += series[l * kTerms] * static_cast<double>(moment);
      }
    }
    if (distance > 0 && box + distance < boxes) {
      for (int l = 0; l < kTerms; ++l) {
        const auto moment = static_cast<int64_t>(from[(box + distance) * kRow + l]);
        const double mirrored = l % 2 == 0 ? 1 : -1;
        upper += mirrored * series[l * kTerms] * static_cast<double>(moment);
      }
    }
  }
  double sum = lower + (k % 2 == 0 ? 1 : -1) * kernel_parity(kOrder) * upper;
  if (kOrder == 0 && k == 0) {
    // In whole halves, so that nothing is rounded where they add up to few.
    const Fixed twice = below[box] - (below[boxes] - below[box + 1]);
    const auto twice_base = static_cast<int64_t>(2 * plan.base * grid.unit);
    sum += static_cast<double>(static_cast<int64_t>(twice) + twice_base) / 2;
  }
  return sum;
}

/// The results of items [begin, end), by the threads of a block, from the local series:
/// coefficient(box, set * kBoxTerms + k).
template <class Scalar, int kOrder, class Coefficient>
__device__ void many_boxes_evaluate(const KernelSum& problem, const RowPlan& plan,
                                    const ItemRange& items, const Coefficient& coefficient) {
  const int64_t row = items.row, end = items.end;
  constexpr int kTerms = kBoxTerms<Scalar>;
  for (int64_t i = items.begin + threadIdx.x; i < end; i += blockDim.x) {
    Scalar value;
    const Kind kind = load_item(problem, row, i, value);
    Scalar sum = 0;
    if (kind == Kind::kFinite) {
      const Place place = place_in_grid(plan, value);
      const auto t = static_cast<Scalar>(place.coordinate);
      Scalar sums[kSets<kOrder>], weights[kSets<kOrder>] = {};
#pragma unroll
      for (int set = 0; set < kSets<kOrder>; ++set) {
        sums[set] = coefficient(place.box, set * kTerms + kTerms - 1);
#pragma unroll
        for (int k = kTerms - 2; k >= 0; --k) {
          sums[set] = sums[set] * t + coefficient(place.box, set * kTerms + k);
        }
      }
      weights_at<Scalar, kOrder>(problem, plan, row, i, weights);
      sum = combine<kOrder>(sums, weights);
    }
    write_result<Scalar>(problem, plan, row, i, kind, sum);
  }
}

}  // namespace rank_relax::cuda
