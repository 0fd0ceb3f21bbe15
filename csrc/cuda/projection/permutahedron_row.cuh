#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/correlation.h"
#include "core/projection/permutahedron.h"
#include "cuda/launch/block.cuh"
#include "cuda/launch/device_memory.h"
#include "cuda/launch/grid.cuh"
#include "cuda/projection/isotonic.cuh"
#include "cuda/projection/permutahedron.h"
#include "cuda/row/row_plan.cuh"
#include "cuda/sort/merge_sort.cuh"
#include "cuda/sort/segments.cuh"
#include "cuda/sum/sorted_row.cuh"

namespace rank_relax::cuda {

/// Rows are worked on so many at a time, each in `bytes` of memory: all blocks of threads sort
/// them, then each is one block's. Blocks wait for one another if a row has several tiles; else a
/// row is one block's from the beginning.
struct RowsAtATime {
  Tiles tiles;
  int64_t rows;
  char* memory;
  size_t bytes;

  /// Calls work(row, memory) for all rows, when sort(first, count) has sorted `count` of them.
  template <class Sort, class Work>
  __device__ void for_rows(int64_t all, const Sort& sort, const Work& work) const {
    for (int64_t first = 0; first < all; first += rows) {
      const int64_t count = all - first < rows ? all - first : rows;
      sort(first, count);
      if (tiles.count() > 1) wait_for_grid();
      for_blocks(count, [&](int64_t number) {
        work(first + number, memory_of(number));
        __syncthreads();
      });
      if (tiles.count() > 1) wait_for_grid();  // before other rows take the memory
    }
  }

  __device__ char* memory_of(int64_t number) const { return memory + number * bytes; }
};

/// Memory of one row of `size` items: that of the sort, and sums.
template <class Scalar>
struct ProjectionMemory {
  SortedRowMemory<Scalar> sort;
  double* sums;

  static constexpr size_t bytes(int64_t size) {
    return aligned(SortedRowMemory<Scalar>::bytes(size)) +
           aligned(static_cast<size_t>(size) * sizeof(double));
  }

  __device__ ProjectionMemory(char* memory, int64_t size)
      : sort(memory, size),
        sums(reinterpret_cast<double*>(memory + aligned(SortedRowMemory<Scalar>::bytes(size)))) {}
};

/// A row when it is sorted and, from `pool` on, cut into blocks: item p < finite is the p-th
/// smallest. The items that aren't finite come after these, in the row's order.
template <class Scalar>
struct SortedFiniteRow {
  int64_t finite, below, above, unmasked;
  double unit = 1;  // no difference of values overflows when they are divided by it
  double spread = 0;
  const SortKey<Scalar>* keys;
  const uint32_t* positions;
  uint32_t* begins;     // of the block of every item
  PooledBlocks blocks;  // the sums serve for others when the blocks are found

  /// Of a row that is sorted. By all threads.
  __device__ SortedFiniteRow(const RowBatch& batch, int64_t row,
                             const ProjectionMemory<Scalar>& memory)
      : keys(memory.sort.keys[0]),
        positions(memory.sort.positions[0]),
        begins(reinterpret_cast<uint32_t*>(memory.sort.keys[1])),
        blocks{memory.sort.positions[1], memory.sums} {
    count(batch, row);
    if (finite == 0) return;
    const double largest = value_of<Scalar>(keys[finite - 1]), smallest = value_of<Scalar>(keys[0]);
    if (!isfinite(largest - smallest)) unit = 4;
    spread = unit * (largest / unit - smallest / unit);
  }

  __device__ int64_t counted() const { return finite + below + above; }

  /// In the unit.
  __device__ double value(int64_t p) const {
    return static_cast<double>(value_of<Scalar>(keys[p])) / unit;
  }
  __device__ double difference(int64_t p, int64_t q) const { return value(p) - value(q); }

  /// The strength for `batch`.
  template <class Projection>
  __device__ double strength(const RowBatch& batch) const {
    if (!batch.for_correlation || below + above > 0) return batch.regularization_strength;
    return correlation_strength(batch.regularization_strength, spread, Projection::kLinearSpread);
  }

  /// Finds the blocks, and calls visit(p, number of the block of p). By all threads.
  template <class Join, class Visit>
  __device__ void pool(double sum_of_one, const Join& join, const Visit& visit) {
    const auto apart = [this](int64_t p, int64_t q) { return difference(p, q); };
    pool_in_parallel(finite, sum_of_one, apart, join, blocks);
    find_segments(finite, [this](int64_t p) { return blocks.begins_at(p); }, begins, visit);
  }

  /// At a block's first item.
  __device__ int64_t size_of_block(int64_t first) const { return blocks.from(first).size; }

 private:
  __device__ void count(const RowBatch& batch, int64_t row) {
    double counts[4] = {};
    for (int64_t i = threadIdx.x; i < batch.size; i += blockDim.x) {
      Scalar value;
      const Kind kind = load_item(batch, row, i, value);
      counts[0] += kind == Kind::kFinite;
      counts[1] += kind == Kind::kBelow;
      counts[2] += kind == Kind::kAbove;
      counts[3] += kind != Kind::kMasked;
    }
    finite = static_cast<int64_t>(reduce_in_block(counts[0], Sum()));
    below = static_cast<int64_t>(reduce_in_block(counts[1], Sum()));
    above = static_cast<int64_t>(reduce_in_block(counts[2], Sum()));
    unmasked = static_cast<int64_t>(reduce_in_block(counts[3], Sum()));
  }
};

/// Calls work(row, memory) for all rows when they are sorted, by the kernels below.
template <class Scalar, class Work>
__device__ void for_sorted_rows(const RowBatch& batch, const RowsAtATime& at_a_time,
                                const Work& work) {
  const auto memory_of = [&](char* memory) -> ProjectionMemory<Scalar> {
    return {memory, batch.size};
  };
  const auto sort = [&](int64_t first, int64_t count) {
    sort_together<SortKey<Scalar>>(
        at_a_time.tiles, count,
        [&](int64_t number, int64_t i) { return key_of_item<Scalar>(batch, first + number, i); },
        [&](int64_t number, int which) {
          return memory_of(at_a_time.memory_of(number)).sort.piece(which);
        },
        dynamic_shared_memory());
  };
  at_a_time.for_rows(batch.rows, sort,
                     [&](int64_t row, char* memory) { work(row, memory_of(memory)); });
}

}  // namespace rank_relax::cuda
