#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "cuda/inverse/level_search.cuh"
#include "cuda/inverse/quantile_row.cuh"
#include "cuda/inverse/quantile_short.cuh"
#include "cuda/sort/block_sort.cuh"
#include "cuda/sum/sorted_row.cuh"
#include "cuda/sum/tile_scan.cuh"

namespace rank_relax::cuda {

// Long rows of a CDF that has no grid of boxes. One block sorts a row, then several solve its
// levels.
//
// Where F(-d) = e^-d/2, a thread takes a level: between x_i and x_(i+1), with m = i + 1 items at or
// below,
//
//     G(y) = m - A e^-t + B e^-(g - t)       t = α (y - x_i), g = α (x_(i+1) - x_i)
//     A = Σ_{j <= i} e^-α(x_i - x_j)/2,      B = Σ_{j > i} e^-α(x_j - x_(i+1))/2,
//
// and A and B of all items are scans. The interval is found by bisection, and a level m + h has a
// quadratic equation for e^-t, or for e^-(g - t), of which the one is solved in which nothing
// cancels or overflows. O(log n) a level.
//
// Else a warp takes a level, and counts over all items at every step: O(n) a step.

/// Memory of one row when it is sorted.
template <class Cdf>
struct GridlessMemory {
  double* values;  // the finite ones, ascending
  double* below;   // A of the interval that an item begins
  double* above;   // B of the interval that it ends

  static constexpr size_t bytes(int64_t size) {
    return static_cast<size_t>(size) * (kIsExponential<Cdf> ? 3 : 1) * sizeof(double);
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

/// First: every row sorted, by one of these blocks, which have memory for that.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads)
    sort_gridless_rows(RowBatch source, GridlessRows rows, char* sorting, size_t bytes_a_block) {
  const SortedRowMemory<Scalar> memory(sorting + blockIdx.x * bytes_a_block, source.size);
  for (int64_t row = blockIdx.x; row < source.rows; row += gridDim.x) {
    const RowStatistics found = statistics_of<Scalar, 0>(source, row, 0, source.size);
    if (threadIdx.x == 0) rows.found[row] = found;
    sort_row(source, row, memory);
    const GridlessMemory<Cdf> sorted = rows.of<Cdf>(row);
    const auto count = static_cast<int64_t>(found.finite);
    for (int64_t p = threadIdx.x; p < count; p += blockDim.x) {
      sorted.values[p] = value_of<Scalar>(memory.keys[0][p]);
    }
    __syncthreads();
    if constexpr (kIsExponential<Cdf>) {
      sum_tails<true>(sorted.values, count, source.regularization_strength, sorted.below);
      sum_tails<false>(sorted.values, count, source.regularization_strength, sorted.above);
    }
    __syncthreads();
  }
}

/// The inverse in closed form.
template <class Cdf>
struct ExponentialLevels {
  GridlessMemory<Cdf> sorted;
  int64_t count;
  double strength;

  /// e^-α(b - a)
  __device__ double decay(double a, double b) const {
    return exp(-scaled_difference(strength, b, a));
  }

  /// The item that ends the interval of a level: the first at which G is not below it. G(x_i) =
  /// i - (A_i - 1/2) + B_i.
  __device__ int64_t next_of(double level) const {
    int64_t begin = 0, end = count;
    while (begin < end) {
      const int64_t middle = (begin + end) / 2;
      const double here =
          static_cast<double>(middle) - (sorted.below[middle] - 0.5) + sorted.above[middle];
      if (here < level)
        begin = middle + 1;
      else
        end = middle;
    }
    return begin;
  }

  __device__ double point_of(double level, int64_t next) const {
    const double h = level - static_cast<double>(next);
    if (next == 0) return sorted.values[0] + log(level / sorted.above[0]) / strength;
    const double a = sorted.below[next - 1], lower = sorted.values[next - 1];
    if (next == count) return lower - log(-h / a) / strength;
    const double b = sorted.above[next], upper = sorted.values[next];
    double point = lower / 2 + upper / 2 + log(a / b) / strength / 2;
    if (h != 0) {
      const double root = sqrt(h * h + 4 * a * b * decay(lower, upper));
      point = h > 0 ? upper + log((h + root) / (2 * b)) / strength
                    : lower - log((root - h) / (2 * a)) / strength;
    }
    return Larger()(lower, Smaller()(point, upper));
  }

  /// Σ_j F'(α (y - x_j))
  __device__ double density_at(double y, int64_t next) const {
    double density = 0;
    if (next > 0) {
      density += sorted.below[next - 1] * decay(sorted.values[next - 1], y);
    }
    if (next < count) density += sorted.above[next] * decay(y, sorted.values[next]);
    return density;
  }
};

/// Second: the results.
template <class Cdf>
__global__ void solve_gridless_rows(Quantile problem, GridlessRows rows) {
  const int64_t row = rows.places.row(), end = rows.places.end();
  const RowStatistics& found = rows.found[row];
  const GridlessMemory<Cdf> sorted = rows.of<Cdf>(row);
  if constexpr (kIsExponential<Cdf>) {
    const ExponentialLevels<Cdf> levels = {sorted, static_cast<int64_t>(found.finite),
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
