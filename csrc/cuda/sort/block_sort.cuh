#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

// A sort of keys with their positions, by one block in shared memory: a bitonic sort.

template <class Scalar>
using SortKey = std::conditional_t<sizeof(Scalar) == 4, uint32_t, uint64_t>;

constexpr int kMostSortingThreads = 512;

template <class Key>
struct KeysAndPositions {
  Key* keys;
  uint32_t* positions;  // null: keys alone are sorted
};

/// Memory in which a row of `size` items is sorted, twice what it takes.
template <class Scalar>
struct SortedRowMemory {
  SortKey<Scalar>* keys[2];
  uint32_t* positions[2];

  static constexpr size_t bytes(int64_t size) {
    return static_cast<size_t>(size + 1) * 2 * (sizeof(SortKey<Scalar>) + sizeof(uint32_t));
  }

  __device__ SortedRowMemory(void* memory, int64_t size) {
    keys[0] = static_cast<SortKey<Scalar>*>(memory);
    keys[1] = keys[0] + size + 1;
    positions[0] = reinterpret_cast<uint32_t*>(keys[1] + size + 1);
    positions[1] = positions[0] + size + 1;
  }

  /// Not by an index, by which the pointers would be in local memory.
  __device__ KeysAndPositions<SortKey<Scalar>> piece(int which) const {
    return {which == 0 ? keys[0] : keys[1], which == 0 ? positions[0] : positions[1]};
  }
};

/// An unsigned integer of the same order; -0 as +0. Larger than all for what is not finite.
template <class Scalar>
__device__ SortKey<Scalar> key_of(Scalar value, bool finite) {
  using Key = SortKey<Scalar>;
  if (!finite) return ~Key{0};
  if (value == 0) value = 0;
  Key bits;
  memcpy(&bits, &value, sizeof bits);
  constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

template <class Scalar>
__device__ Scalar value_of(SortKey<Scalar> key) {
  using Key = SortKey<Scalar>;
  constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
  key = (key & kSign) != 0 ? key ^ kSign : ~key;
  Scalar value;
  memcpy(&value, &key, sizeof value);
  return value;
}

/// Whether two items are in order: by their positions, if they have any, where the keys are equal.
template <class Key, class Positions>
__device__ bool in_order(const Key* keys, Positions positions, int lower, int upper) {
  const Key first = keys[lower], second = keys[upper];
  if constexpr (std::is_null_pointer_v<Positions>) {
    return first <= second;
  } else {
    return first < second || (first == second && positions[lower] < positions[upper]);
  }
}

/// One step of a bitonic sort: puts in order the items that lie `stride` apart, or, if `mirrored`,
/// those that mirror one another in pieces of twice the stride. What lies behind the end counts as
/// larger than all, and stays there.
template <class Key, class Positions>
__device__ void compare_apart(Key* keys, Positions positions, int size, int pairs, int stride,
                              bool mirrored) {
  for (int pair = threadIdx.x; pair < pairs; pair += blockDim.x) {
    const int in_piece = pair & (stride - 1), begin = (pair - in_piece) * 2;
    const int lower = begin + in_piece;
    const int upper = mirrored ? begin + 2 * stride - 1 - in_piece : lower + stride;
    if (upper >= size || in_order(keys, positions, lower, upper)) continue;
    const Key key = keys[lower];
    keys[lower] = keys[upper];
    keys[upper] = key;
    if constexpr (!std::is_null_pointer_v<Positions>) {
      const uint32_t position = positions[lower];
      positions[lower] = positions[upper];
      positions[upper] = position;
    }
  }
}

/// Sorts few keys where they are, in shared memory, and their positions, if there are any, which
/// ascend then where keys are equal. In pieces of 64 items a warp has only its own to wait for.
template <class Key, class Positions>
__device__ void bitonic_sort(Key* keys, Positions positions, int size) {
  int padded = 2;
  while (padded < size) padded *= 2;
  int last_piece = padded;
  const auto step = [&](int stride, bool mirrored) {
    if (last_piece > 2 * kWarp || stride > kWarp)
      __syncthreads();
    else
      __syncwarp();
    last_piece = 2 * stride;
    compare_apart(keys, positions, size, padded / 2, stride, mirrored);
  };
  if (padded <= 2 * kWarp) __syncthreads();
  for (int sorted = 1; sorted < padded; sorted *= 2) {
    step(sorted, /*mirrored=*/true);
    for (int stride = sorted / 2; stride > 0; stride /= 2) step(stride, /*mirrored=*/false);
  }
  __syncthreads();
}

}  // namespace rank_relax::cuda
