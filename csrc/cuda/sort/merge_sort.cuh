#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "cuda/launch/block.cuh"
#include "cuda/launch/grid.cuh"
#include "cuda/sort/block_sort.cuh"

namespace rank_relax::cuda {

// A sort of keys with their positions by many blocks, with no memory but for the items twice: tiles
// of `size` items are sorted in shared memory, then two sorted lists at a time are merged, list
// after list of twice as many. A block writes a tile of what comes out: a bisection of both lists
// finds what goes there, and one more in shared memory the place of each item. Equal items stay in
// the order that they had.

constexpr int64_t kLargestTile = 4096, kSmallestTile = 64;

/// How a list is cut into tiles, all of a power of two but for the last.
struct Tiles {
  int64_t items;
  int64_t size;

  RANK_RELAX_HOST_DEVICE int64_t count() const { return (items + size - 1) / size; }
  __device__ int merges() const {
    int merges = 0;
    for (int64_t sorted = size; sorted < items; sorted *= 2) ++merges;
    return merges;
  }
  __device__ int64_t end(int64_t tile) const {
    return (tile + 1) * size < items ? (tile + 1) * size : items;
  }
};

/// Bytes of shared memory that a tile is sorted in.
template <class Key>
constexpr int64_t bytes_of_tile(int64_t size) {
  return size * static_cast<int64_t>(sizeof(Key) + sizeof(uint32_t));
}

/// The tiles of a list whose blocks have so much shared memory: one, if it is short enough.
template <class Key>
Tiles tiles_in(int64_t items, int64_t shared) {
  int64_t size = kLargestTile;
  while (size > kSmallestTile && (bytes_of_tile<Key>(size) > shared || size / 2 >= items)) {
    size /= 2;
  }
  return {items, size};
}

/// Sorts a tile by a block; key(i) is that of item i.
template <class Key, class KeyOfItem>
__device__ void sort_tile(const Tiles& tiles, int64_t tile, const KeyOfItem& key,
                          const KeysAndPositions<Key>& to, char* shared) {
  auto* const keys = reinterpret_cast<Key*>(shared);
  auto* const positions = reinterpret_cast<uint32_t*>(keys + tiles.size);
  const int64_t begin = tile * tiles.size;
  const int count = static_cast<int>(tiles.end(tile) - begin);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    keys[i] = key(begin + i);
    positions[i] = static_cast<uint32_t>(begin + i);
  }
  if (to.positions != nullptr) {
    bitonic_sort(keys, positions, count);
  } else {
    bitonic_sort(keys, nullptr, count);
  }
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    to.keys[begin + i] = keys[i];
    if (to.positions != nullptr) to.positions[begin + i] = positions[i];
  }
  __syncthreads();
}

/// How many of the first `places` items of two sorted lists put together are of the first list,
/// which comes first where items are equal. By a warp.
template <class Key>
__device__ int64_t first_list_within(const Key* first, int64_t first_count, const Key* second,
                                     int64_t second_count, int64_t places) {
  return partition_in_warp(places > second_count ? places - second_count : 0,
                           places < first_count ? places : first_count,
                           [&](int64_t i) { return first[i] <= second[places - 1 - i]; });
}

/// How many of `count` ascending keys are less than this one, or, with `kOrEqual`, not greater.
/// `power` is a power of two and not less than `count`.
template <bool kOrEqual, class Key>
__device__ int keys_below(const Key* keys, int count, Key key, int power) {
  int below = 0;
  for (int step = power; step > 0; step /= 2) {
    const int next = below + step;
    if (next > count) continue;
    const Key other = keys[next - 1];
    if (kOrEqual ? other <= key : other < key) below = next;
  }
  return below;
}

/// Writes a tile of what merges sorted lists of `sorted` items, two at a time, by a block of two
/// warps or more.
template <class Key>
__device__ void merge_tile(const Tiles& tiles, int64_t tile, int64_t sorted,
                           const KeysAndPositions<Key>& from, const KeysAndPositions<Key>& to,
                           char* shared) {
  __shared__ int64_t firsts[2];  // items of the first list before the tile, and before its end
  auto* const keys = reinterpret_cast<Key*>(shared);
  const int64_t begin = tile * tiles.size, end = tiles.end(tile);
  const int64_t first = begin / (2 * sorted) * (2 * sorted), left = tiles.items - first;
  const int64_t first_count = left < sorted ? left : sorted, second = first + first_count;
  const int64_t second_count = left - first_count < sorted ? left - first_count : sorted;
  if (warp() < 2) {
    const int64_t found = first_list_within(from.keys + first, first_count, from.keys + second,
                                            second_count, (warp() == 0 ? begin : end) - first);
    if (lane() == 0) firsts[warp()] = found;
  }
  __syncthreads();
  const int count = static_cast<int>(end - begin),
            of_first = static_cast<int>(firsts[1] - firsts[0]);
  const int64_t from_first = first + firsts[0];
  const int64_t from_second = second + (begin - first - firsts[0]) - of_first;
  const auto place_of = [&](int i) { return (i < of_first ? from_first : from_second) + i; };
  for (int i = threadIdx.x; i < count; i += blockDim.x) keys[i] = from.keys[place_of(i)];
  __syncthreads();
  const auto put = [&](int i, int place) {
    to.keys[begin + place] = keys[i];
    if (to.positions != nullptr) to.positions[begin + place] = from.positions[place_of(i)];
  };
  const int power = static_cast<int>(tiles.size), of_second = count - of_first;
  const Key* const seconds = keys + of_first;
  for (int i = threadIdx.x; i < of_first; i += blockDim.x) {
    put(i, i + keys_below<false>(seconds, of_second, keys[i], power));
  }
  for (int i = threadIdx.x; i < of_second; i += blockDim.x) {
    put(of_first + i, i + keys_below<true>(keys, of_first, seconds[i], power));
  }
  __syncthreads();
}

/// Sorts lists by all blocks of a launch, each with the shared memory of a tile: key(list, i) is
/// that of an item, piece(list, 0) the memory that it comes to, and piece(list, 1) as much again.
/// Other blocks may not be ready with a list yet, unless it is one tile: then it is sorted by the
/// block that for_blocks(lists, ..) gives it to.
template <class Key, class KeyOfItem, class Piece>
__device__ void sort_together(const Tiles& tiles, int64_t lists, const KeyOfItem& key,
                              const Piece& piece, char* shared) {
  const int64_t units = lists * tiles.count();
  int at = tiles.merges() % 2;  // so that the last merge writes to the first piece
  for_blocks(units, [&](int64_t unit) {
    const int64_t list = unit / tiles.count();
    sort_tile<Key>(
        tiles, unit % tiles.count(), [&](int64_t i) { return key(list, i); }, piece(list, at),
        shared);
  });
  for (int64_t sorted = tiles.size; sorted < tiles.items; sorted *= 2, at = 1 - at) {
    wait_for_grid();
    for_blocks(units, [&](int64_t unit) {
      const int64_t list = unit / tiles.count();
      merge_tile<Key>(tiles, unit % tiles.count(), sorted, piece(list, at), piece(list, 1 - at),
                      shared);
    });
  }
}

}  // namespace rank_relax::cuda
