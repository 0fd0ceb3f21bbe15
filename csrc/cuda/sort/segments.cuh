#pragma once

#include <cstdint>

#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

// Lists that are cut into segments, by a block of threads, a tile of blockDim.x items at a time.

/// begins[i] = the first item of i's segment, for all i < count; calls visit(i, number) with the
/// segment's number, from 0. Returns how many there are.
template <class BeginsAt, class Visit>
__device__ int64_t find_segments(int64_t count, const BeginsAt& begins_at, uint32_t* begins,
                                 const Visit& visit) {
  const auto later = [](int64_t a, int64_t b) { return a > b ? a : b; };
  int64_t begin_before = 0, number_before = 0;
  for (int64_t first = 0; first < count; first += blockDim.x) {
    const int64_t i = first + threadIdx.x;
    const bool begins_here = i < count && (i == 0 || begins_at(i));
    int64_t latest, number;
    const int64_t begin = scan_in_block(begins_here ? i : int64_t{0}, later, latest);
    const int64_t ordinal = number_before + scan_in_block(int64_t{begins_here}, Sum(), number);
    if (i < count) {
      begins[i] = static_cast<uint32_t>(later(begin, begin_before));
      visit(i, ordinal - 1);
    }
    begin_before = later(latest, begin_before);
    number_before += number;
  }
  __syncthreads();
  return number_before;
}

/// Calls finish(begin, size, Σ term(i) over its items) for every segment. What is added in which
/// order depends on where the segments lie, and on blockDim.x. Other threads may read what `finish`
/// has written.
template <class Term, class Finish>
__device__ void sum_segments(int64_t count, const uint32_t* begins, const Term& term,
                             const Finish& finish) {
  constexpr uint32_t kNone = 0xffffffff;
  __shared__ double of_warps[kMostWarps], of_tile;
  __shared__ uint32_t last_of_warps[kMostWarps], last_of_tile;
  double before = 0;  // what earlier tiles added to the segment that they left open
  uint32_t open = kNone;
  for (int64_t first = 0; first < count; first += blockDim.x) {
    const int64_t i = first + threadIdx.x;
    const uint32_t begin = i < count ? begins[i] : kNone;
    double sum = i < count ? term(i) : 0;
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const double other = __shfl_up_sync(kAllLanes, sum, distance);
      const uint32_t its_begin = __shfl_up_sync(kAllLanes, begin, distance);
      if (lane() >= distance && its_begin == begin) sum = other + sum;
    }
    if (lane() == kWarp - 1) {
      of_warps[warp()] = sum;
      last_of_warps[warp()] = begin;
    }
    __syncthreads();
    double ahead = open == begin ? before : 0;
    for (int w = 0; w < warp(); ++w) {
      if (last_of_warps[w] == begin) ahead += of_warps[w];
    }
    sum = ahead + sum;
    if (i < count && (i + 1 == count || begins[i + 1] != begin)) {
      finish(begin, i + 1 - begin, sum);
    }
    if (threadIdx.x == blockDim.x - 1) {
      of_tile = sum;
      last_of_tile = begin;
    }
    __syncthreads();
    before = of_tile;
    open = last_of_tile;
  }
}

}  // namespace rank_relax::cuda
