#pragma once

#include <cstdint>
#include <limits>

#include "cuda/inverse/level_search.cuh"
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

/// G - level at anchor + u/α, by a warp.
template <class Cdf>
__device__ Step count_within_reach(const double* sorted, int64_t count, double strength,
                                   const LevelBracket& bracket, double level, double u) {
  const auto above = [&](int64_t i) {
    return u + scaled_difference(strength, bracket.anchor, sorted[i]);
  };
  int64_t begin = 0, end = count;
  if constexpr (kFallsExponentially<Cdf>) {
    begin = partition_point(0, count, [&](int64_t i) { return above(i) > bracket.reach; });
    end = partition_point(begin, count, [&](int64_t i) { return above(i) >= -bracket.reach; });
  }
  CountAt<Cdf> sum;
  for (int64_t i = begin + lane(); i < end; i += kWarp) sum.add(above(i));
  return sum.beside(level - static_cast<double>(begin));
}

/// The point at a level among ascending values, 0 < level < count, and the density there if it is
/// wanted; by a warp.
template <class Cdf>
__device__ double point_at_level(const double* sorted, int64_t count, double strength, double level,
                                 double* density) {
  const auto at = [&](int64_t i) { return sorted[i]; };
  strength = strength_in_gap<Cdf>(at, strength, level);
  const LevelBracket bracket = bracket_of<Cdf>(at, count, strength, level);
  if constexpr (kFallsExponentially<Cdf>) {
    if (bracket.in_wide_gap) {
      return point_in_gap<Cdf>(
          bracket, strength,
          [&](const auto& add) {
            for (int64_t i = lane(); i < count; i += kWarp) add(sorted[i]);
          },
          [](double sum) { return reduce_in_warp(sum, Sum()); });
    }
  }
  const auto count_at = [&](double u) {
    return count_within_reach<Cdf>(sorted, count, strength, bracket, level, u);
  };
  const double guess = scaled_difference(strength, bracket.next, bracket.anchor) / 2;
  const double u = find_root(count_at, guess, bracket.lower, bracket.upper);
  if (density != nullptr) *density = count_at(u).slope;
  return bracket.anchor + u / strength;
}

/// One place of the results, by a warp.
template <class Cdf>
__device__ void solve_by_warp(const Quantile& problem, const RowStatistics& found, int64_t row,
                              int64_t place, const double* sorted) {
  const Wanted wanted = wanted_at(problem, found, row, place);
  double point = wanted.point, density = 0;
  if (wanted.has_level) {
    point = point_at_level<Cdf>(sorted, static_cast<int64_t>(found.finite),
                                problem.regularization_strength, wanted.level,
                                problem.densities != nullptr ? &density : nullptr);
  }
  if (lane() == 0) write_point(problem, row, place, point, density);
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
    const RowStatistics found = count_items(problem, row, 0, problem.size);
    sort_by_counting(problem, row, values, sorted);
    for (int64_t place = begin + warp(); place < end; place += warps()) {
      solve_by_warp<Cdf>(problem, found, row, place, sorted);
    }
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
