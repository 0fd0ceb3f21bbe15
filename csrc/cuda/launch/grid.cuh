#pragma once

#include <cstdint>

#include "cuda/launch/block.cuh"

#ifdef __CUDACC__
#include <cooperative_groups.h>
#endif

namespace rank_relax::cuda {

// What the blocks of a launch do together that is made with Shape::together. What comes out may not
// depend on how many they are.

/// Waits until all threads of all blocks have come here; what they have written may be read from
/// then on.
__device__ inline void wait_for_grid() {
  if (gridDim.x == 1) {  // which may have been launched alone
    __syncthreads();
    return;
  }
#ifdef __CUDACC__
  cooperative_groups::this_grid().sync();
#else
  emulator::wait_for_grid();  // of tests/cuda
#endif
}

/// Calls work(unit) for units 0 .. count - 1, shared out among the blocks.
template <class Work>
__device__ void for_blocks(int64_t count, const Work& work) {
  for (int64_t unit = blockIdx.x; unit < count; unit += gridDim.x) work(unit);
}

/// The same among the warps, each block's first warp first; after `ahead` units of other work that
/// was shared out so, the next warp has the first one.
template <class Work>
__device__ void for_warps(int64_t count, const Work& work, int64_t ahead = 0) {
  const int64_t blocks = gridDim.x, all = warps() * blocks;
  const int64_t own = warp() * blocks + blockIdx.x - ahead % all;
  for (int64_t unit = own < 0 ? own + all : own; unit < count; unit += all) work(unit);
}

}  // namespace rank_relax::cuda
