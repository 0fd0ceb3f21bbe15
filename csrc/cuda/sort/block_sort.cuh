#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

// Sorts of keys with their positions, by one block: a radix sort in global memory, and a bitonic
// sort in shared memory.

template <class Scalar>
using SortKey = std::conditional_t<sizeof(Scalar) == 4, uint32_t, uint64_t>;

constexpr int kMostSortingThreads = 512;
constexpr int kMostSortingWarps = kMostSortingThreads / kWarp;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;

/// Memory of one block, for rows of `size` items.
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

/// begins[digit] = the items with a lower digit at this place.
template <class Key>
__device__ void count_digits(const Key* keys, int64_t size, int place, uint32_t* begins) {
  for (int d = threadIdx.x; d < kDigits; d += blockDim.x) begins[d] = 0;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    const auto digit = static_cast<int>((keys[i] >> (place * kDigitBits)) & (kDigits - 1));
    atomicAdd(begins + digit, 1U);
  }
  __syncthreads();
  int64_t before = 0;
  for (int first = 0; first < kDigits; first += blockDim.x) {
    const int d = first + static_cast<int>(threadIdx.x);
    const int64_t here = d < kDigits ? begins[d] : 0;
    int64_t total;
    const int64_t scanned = scan_in_block(here, Sum(), total);
    if (d < kDigits) begins[d] = static_cast<uint32_t>(before + scanned - here);
    before += total;
  }
  __syncthreads();
}

template <class Key>
struct KeysAndPositions {
  Key* keys;
  uint32_t* positions;  // null: keys alone are sorted
};

/// One stable pass by a digit: a tile of blockDim.x items at a time. `ahead` counts a tile's items
/// of each digit in each warp, then those in the warps before it.
template <class Key>
__device__ void scatter_by_digit(const KeysAndPositions<Key>& from, int64_t size, int place,
                                 const KeysAndPositions<Key>& to, uint32_t* begins,
                                 uint32_t (*ahead)[kDigits]) {
  for (int64_t first = 0; first < size; first += blockDim.x) {
    for (int i = threadIdx.x; i < warps() * kDigits; i += blockDim.x) (&ahead[0][0])[i] = 0;
    __syncthreads();
    const int64_t i = first + threadIdx.x;
    const bool here = i < size;
    const Key key = here ? from.keys[i] : Key{0};
    const int digit =
        here ? static_cast<int>((key >> (place * kDigitBits)) & (kDigits - 1)) : kDigits;
    const unsigned same = __match_any_sync(kAllLanes, digit);
    const int rank = __popc(same & ((1U << lane()) - 1));
    if (here && rank == 0) ahead[warp()][digit] = __popc(same);
    __syncthreads();
    uint32_t tile[kDigits / kWarp] = {};  // a thread's digits, where it has any
    for (int d = threadIdx.x, n = 0; d < kDigits; d += blockDim.x, ++n) {
      uint32_t sum = 0;
      for (int w = 0; w < warps(); ++w) {
        const uint32_t count = ahead[w][d];
        ahead[w][d] = sum;
        sum += count;
      }
      tile[n] = sum;
    }
    __syncthreads();
    if (here) {
      const uint32_t at = begins[digit] + ahead[warp()][digit] + rank;
      to.keys[at] = key;
      if (to.positions != nullptr) to.positions[at] = from.positions[i];
    }
    __syncthreads();
    for (int d = threadIdx.x, n = 0; d < kDigits; d += blockDim.x, ++n) begins[d] += tile[n];
    __syncthreads();
  }
}

/// Sorts keys[0], and positions[0] if there are any, by a radix sort; keys[1] and positions[1] are
/// as large.
template <class Key>
__device__ void radix_sort(Key* const* keys, uint32_t* const* positions, int64_t size) {
  __shared__ uint32_t begins[kDigits], ahead[kMostSortingWarps][kDigits];
  static_assert(sizeof(Key) % 2 == 0, "so that the last pass writes to keys[0]");
  for (int place = 0; place < static_cast<int>(sizeof(Key)); ++place) {
    const int from = place % 2, to = 1 - from;
    count_digits(keys[from], size, place, begins);
    scatter_by_digit<Key>({keys[from], positions[from]}, size, place, {keys[to], positions[to]},
                          begins, ahead);
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
    if (upper >= size || keys[lower] <= keys[upper]) continue;
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

/// Sorts few keys, and their positions if there are any, where they are, in shared memory. In
/// pieces of 64 items a warp has only its own to wait for.
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
