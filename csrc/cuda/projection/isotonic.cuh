#pragma once

#include <cstdint>

#include "core/projection/isotonic.h"
#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

/// The blocks of a sorted list, in two arrays as long as the list. At a block's first item `ends`
/// has the place of its last and `sums` its sum; at its last item `ends` has the place of its
/// first; at any other the place of one before it.
struct PooledBlocks {
  uint32_t* ends;
  double* sums;

  __device__ bool begins_at(int64_t i) const { return ends[i] >= i; }
  __device__ IsotonicBlock from(int64_t first) const {
    return {first, ends[first] - first + 1, sums[first]};
  }
  __device__ IsotonicBlock up_to(int64_t last) const { return from(ends[last]); }
  __device__ void put(const IsotonicBlock& block) const {
    const int64_t last = block.begin + block.size - 1;
    ends[last] = static_cast<uint32_t>(block.begin);
    ends[block.begin] = static_cast<uint32_t>(last);
    sums[block.begin] = block.sum;
  }
  /// No block begins any more at a place where two have joined.
  __device__ void join_at(int64_t place) const { ends[place] = static_cast<uint32_t>(place - 1); }
};

/// Makes the blocks of the items [begin, end) from those of [begin, seam) and [seam, end), each in
/// order by themselves: only the two at the seam may violate it, and then what they become and its
/// neighbours. By one thread.
template <class Difference, class Join>
__device__ void pool_at_seam(const PooledBlocks& blocks, int64_t begin, int64_t seam, int64_t end,
                             const Difference& difference, const Join& join) {
  IsotonicBlock joined = blocks.up_to(seam - 1);
  const auto take_in_above = [&] {
    const int64_t place = joined.begin + joined.size;
    if (place >= end) return false;
    const IsotonicBlock above = blocks.from(place);
    if (!join(joined, above, difference(place, joined.begin))) return false;
    blocks.join_at(place);
    return true;
  };
  const auto take_in_below = [&] {
    const int64_t place = joined.begin;
    if (place <= begin) return false;
    IsotonicBlock below = blocks.up_to(place - 1);
    if (!join(below, joined, difference(place, below.begin))) return false;
    blocks.join_at(place);
    joined = below;
    return true;
  };
  if (!take_in_above()) return;
  for (bool grown = true; grown;) {
    while (take_in_below()) {
    }
    grown = false;
    while (take_in_above()) grown = true;
  }
  blocks.put(joined);
}

/// Isotonic regression as in core/projection/isotonic.h, whose join it takes, by a block of
/// threads: from blocks of one item each, neighbouring parts of the list become one in rounds, a
/// thread a seam. In any order pooling ends with the same blocks, since a join never undoes the
/// need of another; here the order is fixed by `count`. Cost: O(count) in all, in log2(count)
/// rounds; but blocks that join only in the last rounds do so one after the other.
template <class Difference, class Join>
__device__ void pool_in_parallel(int64_t count, double sum_of_one, const Difference& difference,
                                 const Join& join, const PooledBlocks& blocks) {
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    blocks.ends[i] = static_cast<uint32_t>(i);
    blocks.sums[i] = sum_of_one;
  }
  __syncthreads();
  for (int64_t width = 1; width < count; width *= 2) {
    for (int64_t begin = 2 * width * threadIdx.x; begin + width < count;
         begin += 2 * width * blockDim.x) {
      const int64_t end = begin + 2 * width < count ? begin + 2 * width : count;
      pool_at_seam(blocks, begin, begin + width, end, difference, join);
    }
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
