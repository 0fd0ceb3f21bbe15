#pragma once

#include <cstdint>

#include "cuda/launch/grid.cuh"
#include "cuda/row/row_batch.h"

namespace rank_relax::cuda {

// Long rows that all blocks of a launch work on together (grid.cuh): some at a time, cut into
// parts, of which a block takes one.

constexpr int kMostRowsTogether = 256;
constexpr int64_t kMostPartsTogether = 128, kItemsAPartTogether = 1024;
constexpr int kBlocksTogether = 2;  // of a multiprocessor, if it has registers for them

inline Parts parts_together(int64_t size) {
  const int64_t fewest = size / kItemsAPartTogether + 1;
  const int64_t most = fewest < kMostPartsTogether ? fewest : kMostPartsTogether;
  const int64_t part = (size + most - 1) / most;
  return {(size + part - 1) / part, part};
}

/// The next `most` rows of which is_wanted(row), or as many as are left: how many. `next` is where
/// the search begins, and then where the next one does. By a block, whose threads get the same.
template <class IsWanted>
__device__ int next_rows(int64_t all, const IsWanted& is_wanted, int64_t most, int64_t& next,
                         int64_t* rows) {
  int64_t found = 0;
  __syncthreads();
  while (next < all && found < most) {
    const int64_t row = next + threadIdx.x;
    const bool wanted = row < all && is_wanted(row);
    int64_t here;
    const int64_t number = found + scan_in_block(int64_t{wanted}, Sum(), here);
    if (wanted && number <= most) rows[number - 1] = row;
    __syncthreads();
    found += here;
    next = found > most ? rows[most - 1] + 1 : next + blockDim.x;
  }
  return static_cast<int>(found < most ? found : most);
}

}  // namespace rank_relax::cuda
