#pragma once

#include <cstdint>
#include <limits>

#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/soft_sort_and_soft_quantile.h"
#include "cuda/sort/merge_sort.cuh"
#include "cuda/sum/sorted_row.cuh"

namespace rank_relax::cuda {

// What every form of a quantile asks of its row: values in double, and which places have a level
// among the finite ones.

__device__ inline Kind load_double(const RowBatch& source, int64_t row, int64_t i, double& value) {
  if (source.input.storage == Storage::kFloat64) return load_item<double>(source, row, i, value);
  float single;
  const Kind kind = load_item<float>(source, row, i, single);
  value = single;
  return kind;
}

/// Puts the finite values of rows in order, rows[number] of them or, without `rows`, those that
/// have the numbers themselves. In two pieces of memory of a double for each item, spare_of(number)
/// and values_of(number), which gets the result. By all blocks, with the shared memory of a tile.
template <class Scalar, class SpareOf, class ValuesOf>
__device__ void sort_values_together(const RowBatch& source, const Tiles& tiles, int64_t count,
                                     const int64_t* rows, const SpareOf& spare_of,
                                     const ValuesOf& values_of, char* shared) {
  using Key = SortKey<Scalar>;
  const auto key = [&](int64_t number, int64_t i) {
    return key_of_item<Scalar>(source, rows == nullptr ? number : rows[number], i);
  };
  const auto piece = [&](int64_t number, int which) -> KeysAndPositions<Key> {
    return {reinterpret_cast<Key*>(which == 0 ? spare_of(number) : values_of(number)), nullptr};
  };
  sort_together<Key>(tiles, count, key, piece, shared);
  wait_for_grid();
  for_blocks(count * tiles.count(), [&](int64_t unit) {
    const int64_t number = unit / tiles.count(), tile = unit % tiles.count();
    const Key* const keys = piece(number, 0).keys;
    double* const values = values_of(number);
    for (int64_t p = tile * tiles.size + threadIdx.x; p < tiles.end(tile); p += blockDim.x) {
      values[p] = value_of<Scalar>(keys[p]);
    }
  });
  wait_for_grid();
}

/// By the threads of a block, for all of them: what is in items [begin, end) of a row.
__device__ inline RowStatistics count_items(const RowBatch& source, const ItemRange& items) {
  return source.input.storage == Storage::kFloat64 ? statistics_of<double, 0>(source, items)
                                                   : statistics_of<float, 0>(source, items);
}

/// What a place of the results asks for: the point at a level among the finite values, or else a
/// point that is known.
struct Wanted {
  bool has_level;
  double level;  // 0 < level < number of finite values
  double point;
};

/// A level among the finite values, and where its point goes.
struct WantedLevel {
  int64_t row;
  int64_t place;
  double level;
};

/// Of a sort: -inf, the finite values, inf, NaN, masked items.
__device__ inline Wanted wanted_in_sort(const RowStatistics& found, int64_t place) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto at = static_cast<double>(place);
  if (at < found.below) return {false, 0, -infinity};
  if (at < found.below + found.finite) return {true, at - found.below + 0.5, 0};
  if (at < found.counted) return {false, 0, infinity};
  return {false, 0, at < found.unmasked ? std::numeric_limits<double>::quiet_NaN() : 0};
}

__device__ inline Wanted wanted_at_level(const RowStatistics& found, double level) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double above = level - found.below;
  if (isnan(above) || found.counted == 0) return {false, 0, nan};
  if (0 < above && above < found.finite) return {true, above, 0};
  if (found.finite == 0 && above == 0) return {false, 0, nan};  // between -inf and inf
  return {false, 0, above <= 0 ? -infinity : infinity};
}

__device__ inline Wanted wanted_at(const Quantile& problem, const RowStatistics& found, int64_t row,
                                   int64_t place) {
  if (problem.sorts()) return wanted_in_sort(found, place);
  return wanted_at_level(found, load<double>(problem.levels, row, place));
}

__device__ inline void write_point(const Quantile& problem, int64_t row, int64_t place,
                                   double point, double density) {
  const int64_t at = row * problem.places() + place;
  if (problem.values.data != nullptr) store(problem.values, at, point);
  if (problem.points != nullptr) problem.points[at] = point;
  if (problem.densities != nullptr) problem.densities[at] = density;
}

/// A row's items, or its places, cut into parts.
struct QuantileParts {
  int64_t size, part, count;

  __host__ __device__ QuantileParts(int64_t size, int64_t least, int64_t most) : size(size) {
    const int64_t wanted = (size + least - 1) / least;
    const int64_t parts = wanted < 1 ? 1 : (wanted < most ? wanted : most);
    part = size > 0 ? (size + parts - 1) / parts : 1;
    count = size > 0 ? (size + part - 1) / part : 1;
  }

  __device__ int64_t row() const { return blockIdx.x / count; }
  __device__ int64_t number() const { return blockIdx.x % count; }
  __device__ int64_t begin() const { return number() * part; }
  __device__ int64_t end() const { return begin() + part < size ? begin() + part : size; }
  __device__ ItemRange range() const { return {row(), begin(), end()}; }
};

}  // namespace rank_relax::cuda
