#pragma once

#include <cstdint>
#include <limits>

#include "cuda/inverse/level_by_warp.cuh"
#include "cuda/inverse/quantile_row.cuh"

namespace rank_relax::cuda {

// Short rows: the finite values ascending in shared memory, and a warp for a level, which sums over
// the items within reach at every step.

constexpr int kLongestShort = 256;
constexpr int kLevelsOfAWarp = 16;

/// The finite values of a row in ascending order, inf behind them, by the threads of a block: the
/// place of a value is the number of values below it. O(size²) comparisons.
__device__ inline void sort_by_counting(const RowBatch& source, int64_t row, double* values,
                                        double* sorted) {
  const auto size = static_cast<int>(source.size);
  for (int i = threadIdx.x; i < size; i += blockDim.x) {
    const Kind kind = load_double(source, row, i, values[i]);
    if (kind != Kind::kFinite) values[i] = std::numeric_limits<double>::infinity();
  }
  __syncthreads();
  for (int i = threadIdx.x; i < size; i += blockDim.x) {
    int before = 0;
    for (int j = 0; j < size; ++j) {
      before += values[j] < values[i] || (values[j] == values[i] && j < i) ? 1 : 0;
    }
    sorted[before] = values[i];
  }
  __syncthreads();
}

/// [rows * slices] blocks, each for kLevelsOfAWarp places a warp of a row, which it sorts by
/// itself.
template <class Cdf, int kItems>
__global__ void solve_short_rows(Quantile problem, int64_t slices) {
  __shared__ double values[kItems], sorted[kItems];
  for (int64_t block = blockIdx.x; block < problem.rows * slices; block += gridDim.x) {
    const int64_t row = block / slices;
    const int64_t begin = block % slices * warps() * kLevelsOfAWarp;
    const int64_t behind = begin + warps() * kLevelsOfAWarp;
    const int64_t end = behind < problem.places() ? behind : problem.places();
    const RowStatistics found = count_items(problem, problem.whole(row));
    sort_by_counting(problem, row, values, sorted);
    for (int64_t place = begin + warp(); place < end; place += warps()) {
      solve_by_warp<Cdf>(problem, found, row, place, sorted);
    }
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
