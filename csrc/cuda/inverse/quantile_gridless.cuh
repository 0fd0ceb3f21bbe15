#pragma once

#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/inverse/exponential_levels.h"
#include "cuda/inverse/level_by_warp.cuh"
#include "cuda/inverse/quantile_row.cuh"
#include "cuda/sort/block_sort.cuh"
#include "cuda/sum/tile_scan.cuh"

namespace rank_relax::cuda {

// Long rows of a CDF that has no grid of boxes. All blocks sort them, then several solve the levels
// of each.
//
// Where F(-d) = e^-d/2, a thread takes a level, O(log n) (core/inverse/exponential_levels.h).
//
// Else a warp takes a level, and counts over all items at every step: O(n) a step.

/// Memory of one row when it is sorted.
template <class Cdf>
struct GridlessMemory {
  double* values;  // the finite ones, ascending
  double* below;   // A of the interval that an item begins
  double* above;   // B of the interval that it ends

  // A row is sorted in that of the first two.
  static constexpr size_t bytes(int64_t size) {
    return static_cast<size_t>(size) * (kIsExponential<Cdf> ? 3 : 2) * sizeof(double);
  }

  __device__ GridlessMemory(void* memory, int64_t size)
      : values(static_cast<double*>(memory)), below(values + size), above(below + size) {}
};

/// Memory of long rows between the two kernels.
struct GridlessRows {
  QuantileParts places;
  int64_t size;
  RowStatistics* found;
  char* memory;
  size_t bytes_a_row;

  template <class Cdf>
  __device__ GridlessMemory<Cdf> of(int64_t row) const {
    return {memory + row * bytes_a_row, size};
  }
};

/// Half the sum of e^-α|x_i - x_j| over the items up to each, upwards or downwards, and itself. By
/// a block.
template <bool kUpwards>
__device__ void sum_tails(const double* values, int64_t count, double strength, double* halves) {
  if (count == 0) return;
  const double unit = isfinite(values[count - 1] - values[0]) ? 1 : 2;
  const auto place = [=](int64_t s) { return kUpwards ? s : count - 1 - s; };
  const auto coordinate = [=](int64_t s) { return (kUpwards ? 1 : -1) * values[place(s)] / unit; };
  TileScan<Decay, 1> scan(Decay{strength, unit}, coordinate(0));
  for (int64_t begin = 0; begin < count; begin += blockDim.x) {
    const int64_t s = begin + threadIdx.x;
    const double own[1] = {s < count ? 1.0 : 0.0};
    double before[1];
    scan.add_tile(coordinate(s < count ? s : count - 1), own, before);
    if (s < count) halves[place(s)] = (before[0] + 1) / 2;
  }
}

/// First: all rows sorted, by all blocks, then what is scanned, a block a direction.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads, 1)
    sort_gridless_rows(RowBatch source, GridlessRows rows, Tiles tiles) {
  for_blocks(source.rows, [&](int64_t row) {
    const RowStatistics found = statistics_of<Scalar, 0>(source, source.whole(row));
    if (threadIdx.x == 0) rows.found[row] = found;
  });
  sort_values_together<Scalar>(
      source, tiles, source.rows, nullptr, [&](int64_t row) { return rows.of<Cdf>(row).below; },
      [&](int64_t row) { return rows.of<Cdf>(row).values; }, dynamic_shared_memory());
  if constexpr (kIsExponential<Cdf>) {
    for_blocks(2 * source.rows, [&](int64_t unit) {
      const int64_t row = unit / 2;
      const GridlessMemory<Cdf> sorted = rows.of<Cdf>(row);
      const auto count = static_cast<int64_t>(rows.found[row].finite);
      const double strength = source.regularization_strength;
      if (unit % 2 == 0)
        sum_tails<true>(sorted.values, count, strength, sorted.below);
      else
        sum_tails<false>(sorted.values, count, strength, sorted.above);
    });
  }
}

/// Second: the results.
template <class Cdf>
__global__ void solve_gridless_rows(Quantile problem, GridlessRows rows) {
  const int64_t row = rows.places.row(), end = rows.places.end();
  const RowStatistics& found = rows.found[row];
  const GridlessMemory<Cdf> sorted = rows.of<Cdf>(row);
  if constexpr (kIsExponential<Cdf>) {
    const ExponentialLevels<double> levels = {sorted.values, sorted.below, sorted.above,
                                              static_cast<int64_t>(found.finite),
                                              problem.regularization_strength};
    for (int64_t place = rows.places.begin() + threadIdx.x; place < end; place += blockDim.x) {
      const Wanted wanted = wanted_at(problem, found, row, place);
      double point = wanted.point, density = 0;
      if (wanted.has_level) {
        const int64_t next = levels.next_of(wanted.level);
        point = levels.point_of(wanted.level, next);
        density = levels.density_at(point, next);
      }
      write_point(problem, row, place, point, density);
    }
  } else {
    for (int64_t place = rows.places.begin() + warp(); place < end; place += warps()) {
      solve_by_warp<Cdf>(problem, found, row, place, sorted.values);
    }
  }
}

}  // namespace rank_relax::cuda
