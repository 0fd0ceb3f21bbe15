#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/sort/block_sort.cuh"
#include "cuda/sum/one_box.cuh"
#include "cuda/sum/sorted_row.cuh"
#include "cuda/sum/sorted_together.cuh"
#include "cuda/sum/tile_scan.cuh"

namespace rank_relax::cuda {

// The kernel sums where F(-d) = F'(d) = -F''(d) = e^-d/2 for d > 0, by one block a row: a sort,
// which is all blocks' where the row has no room in shared memory, then a scan upwards for what is
// below each item, and one downwards for what is above, O(1) an item.
//
// With E the sum before an item, Σ w_j e^-|d_ij|, what lies on one side adds
//
//     order 0:   ±(its number - E)/2            order 1:   (v_i E_1 - E_v)/2
//     order 2:   ∓(v_i w_i E_1 - w_i E_v - v_i E_w + E_vw)/2
//
// and equal items, which the scans leave out, F'(0) (v_i - v_j) to order 1. Of order 0, sums that
// count add E to whole halves; those about the middle are M/2 with M = Σ 1 - e^-|d_ij|, so that a
// narrow row keeps its relative precision. Equal values take what the first of them has.

/// A sorted row, and what the upward scan leaves for the one downwards, in the memory that the sort
/// no longer needs.
template <class Scalar>
struct ScannedRow {
  const KernelSum& problem;
  const RowPlan& plan;
  int64_t row, count;
  const SortKey<Scalar>* keys;
  const uint32_t* positions;
  Scalar* weights;          // [l][place]
  SortKey<Scalar>* halves;  // the bits of what is below each item
  uint32_t* firsts;         // the first item that is equal to each
  Scalar* sums_of_equals;   // of order 1, up to each item

  static constexpr int64_t bytes(int64_t size, int order) {
    return SortedSumMemory<Scalar>::bytes(size, order) +
           (order == 1 ? size * static_cast<int64_t>(sizeof(Scalar)) : 0);
  }

  __device__ ScannedRow(const KernelSum& problem, const RowPlan& plan, int64_t row,
                        const SortedSumMemory<Scalar>& memory)
      : problem(problem),
        plan(plan),
        row(row),
        count(static_cast<int64_t>(plan.finite)),
        keys(memory.sort.keys[0]),
        positions(memory.sort.positions[0]),
        weights(memory.weights),
        halves(memory.sort.keys[1]),
        firsts(memory.sort.positions[1]),
        sums_of_equals(memory.weights + problem.size) {}

  __device__ double weight(int l, int64_t p) const { return weights[l * count + p]; }

  /// The item that a scan comes to at step s, and its value in the plan's unit; downwards with the
  /// sign turned.
  template <bool kUpwards>
  __device__ int64_t place(int64_t s) const {
    return kUpwards ? s : count - 1 - s;
  }
  template <bool kUpwards>
  __device__ double coordinate(int64_t s) const {
    const double value = static_cast<double>(value_of<Scalar>(keys[place<kUpwards>(s)]));
    return (kUpwards ? value : -value) / plan.unit;
  }

  __device__ void set_half(int64_t p, double half) const {
    const auto rounded = static_cast<Scalar>(half);
    memcpy(halves + p, &rounded, sizeof rounded);
  }
  __device__ double half(int64_t p) const {
    Scalar value;
    memcpy(&value, halves + p, sizeof value);
    return value;
  }
};

/// The weights of an item in the sets 1, v, w, v w; those of Growth, which counts, are 0.
template <class Step, int kOrder, class Scalar>
__device__ void weights_of_sets(const ScannedRow<Scalar>& sorted, int64_t p,
                                double (&weights)[kSets<kOrder>]) {
  weights[0] = std::is_same_v<Step, Growth> ? 0 : 1;
#pragma unroll
  for (int l = 0; l < kOrder; ++l) weights[1 << l] = sorted.weight(l, p);
  if constexpr (kOrder == 2) weights[3] = weights[1] * weights[2];
}

/// Calls take(p, first, sums) for every item: `first` is the step at which the scan comes to the
/// first item equal to it, `sums` what comes before that, of each set of weights. `tile` holds a
/// Scalar for each thread and set.
template <class Step, int kOrder, bool kUpwards, class Scalar, class Take>
__device__ void scan_row(const ScannedRow<Scalar>& sorted, const Step& step, Scalar* tile,
                         const Take& take) {
  constexpr int kSums = kSets<kOrder>;
  const int64_t count = sorted.count;
  if (count == 0) return;
  TileScan<Step, kSums> scan(step, sorted.template coordinate<kUpwards>(0));
  Scalar carried[kSums] = {};
  int64_t carried_first = 0;
  for (int64_t begin = 0; begin < count; begin += blockDim.x) {
    const int64_t s = begin + threadIdx.x, present = s < count ? s : count - 1;
    const double x = sorted.template coordinate<kUpwards>(present);
    const int64_t p = sorted.template place<kUpwards>(present);
    double weights[kSums] = {}, before[kSums];
    if (s < count) weights_of_sets<Step, kOrder>(sorted, p, weights);
    scan.add_tile(x, weights, before);
    for (int k = 0; k < kSums; ++k) {
      tile[k * blockDim.x + threadIdx.x] = static_cast<Scalar>(before[k]);
    }
    const bool begins = 0 < s && s < count && x != sorted.template coordinate<kUpwards>(s - 1);
    int64_t last;
    int64_t first = scan_in_block(begins ? s : int64_t{0}, Later(), last);
    first = first > carried_first ? first : carried_first;
    last = last > carried_first ? last : carried_first;
    __syncthreads();
    const auto sum_before = [&](int k, int64_t item) {
      return item >= begin ? tile[k * blockDim.x + (item - begin)] : carried[k];
    };
    double sums[kSums];
    for (int k = 0; k < kSums; ++k) sums[k] = sum_before(k, first);
    if (s < count) take(p, first, sums);
    for (int k = 0; k < kSums; ++k) carried[k] = sum_before(k, last);
    carried_first = last;
    __syncthreads();
  }
}

/// sums_of_equals[p] = Σ v_j over the items up to p that are equal to it.
template <class Scalar>
__device__ void sum_equals(const ScannedRow<Scalar>& sorted) {
  const int64_t count = sorted.count;
  if (count == 0) return;
  TileScan<AmongEquals, 1> scan(AmongEquals(), sorted.template coordinate<true>(0));
  for (int64_t begin = 0; begin < count; begin += blockDim.x) {
    const int64_t s = begin + threadIdx.x, present = s < count ? s : count - 1;
    const double own[1] = {s < count ? sorted.weight(0, present) : 0};
    double before[1];
    scan.add_tile(sorted.template coordinate<true>(present), own, before);
    if (s < count) sorted.sums_of_equals[s] = static_cast<Scalar>(before[0] + own[0]);
  }
}

/// What one side adds to an item, from the sums before it.
template <int kOrder, class Scalar>
__device__ double half_of_side(const ScannedRow<Scalar>& sorted, int64_t p, bool below,
                               const double (&sums)[kSets<kOrder>]) {
  double weights[kSets<kOrder>] = {};
#pragma unroll
  for (int l = 0; l < kOrder; ++l) weights[1 << l] = sorted.weight(l, p);
  const double side = combine<kOrder>(sums, weights) / 2;
  return kOrder == 1 || !below ? side : -side;
}

/// What items equal to p, first .. last, are to it: F'(0) Σ_j (v_i - v_j).
template <class Scalar>
__device__ double half_of_equals(const ScannedRow<Scalar>& sorted, int64_t p, int64_t first,
                                 int64_t last) {
  if (first == last) return 0;
  const auto equals = static_cast<double>(last - first + 1);
  return (sorted.weight(0, p) * equals - sorted.sums_of_equals[last]) / 2;
}

/// The results of the finite items. Half of what is below each stays for the way down.
template <class Step, int kOrder, class Scalar>
__device__ void sum_by_scans(const ScannedRow<Scalar>& sorted, Scalar* tile) {
  constexpr bool kGrows = std::is_same_v<Step, Growth>;
  const RowPlan& plan = sorted.plan;
  const Step step = {plan.strength, plan.unit};
  const auto half = [&](int64_t p, bool below, const double (&sums)[kSets<kOrder>]) {
    const double side = half_of_side<kOrder>(sorted, p, below, sums);
    return kGrows ? -side : side;
  };
  scan_row<Step, kOrder, true>(sorted, step, tile,
                               [&](int64_t p, int64_t first, const double (&sums)[kSets<kOrder>]) {
                                 sorted.set_half(p, half(p, true, sums));
                                 sorted.firsts[p] = static_cast<uint32_t>(first);
                               });
  if constexpr (kOrder == 1) sum_equals(sorted);
  __syncthreads();
  const int64_t count = sorted.count;
  scan_row<Step, kOrder, false>(sorted, step, tile,
                                [&](int64_t p, int64_t first, const double (&sums)[kSets<kOrder>]) {
                                  const int64_t begin = sorted.firsts[p], last = count - 1 - first;
                                  double sum = sorted.half(p) + half(p, false, sums);
                                  if constexpr (kOrder == 0) {
                                    const int64_t twice = kGrows ? 0 : begin - (count - 1 - last);
                                    sum += static_cast<double>(twice) / 2 + plan.base;
                                  }
                                  if constexpr (kOrder == 1)
                                    sum += half_of_equals(sorted, p, begin, last);
                                  write_result<Scalar>(sorted.problem, plan, sorted.row,
                                                       sorted.positions[p], Kind::kFinite, sum);
                                });
}

/// The results of a row that is sorted. By a block, with a Scalar for each thread and set in shared
/// memory.
template <class Scalar, int kOrder>
__device__ void sum_scanned_row(const KernelSum& problem, const RowPlan& plan, int64_t row,
                                const SortedSumMemory<Scalar>& memory, char* shared) {
  static_assert(bytes_of_warps<Scalar>(kWarp, kOrder) >=
                kWarp * kSets<kOrder> * static_cast<int64_t>(sizeof(Scalar)));
  auto* const tile = reinterpret_cast<Scalar*>(shared);
  const ScannedRow<Scalar> sorted(problem, plan, row, memory);
  sort_weights(problem, plan, problem.whole(row), sorted.positions, sorted.weights);
  if constexpr (kOrder == 0) {
    if (!plan.counts) sum_by_scans<Growth, kOrder>(sorted, tile);
  }
  if (kOrder > 0 || plan.counts) sum_by_scans<Decay, kOrder>(sorted, tile);
  write_others<Scalar>(problem, plan, problem.whole(row), sorted.positions);
  __syncthreads();
}

/// Of a whole row, by a block.
template <class Scalar, int kOrder>
__device__ void plan_scan(const KernelSum& problem, int64_t row, RowPlan& plan) {
  const RowStatistics found = statistics_of<Scalar, kOrder>(problem, problem.whole(row));
  if (threadIdx.x == 0) {
    make_plan(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true, plan);
  }
  __syncthreads();
}

/// All rows, a block each at a time, in shared memory.
template <class Scalar, int kOrder>
__global__ void __launch_bounds__(kMostSummingThreads, 1) scan_rows(KernelSum problem) {
  __shared__ RowPlan plan;
  char* const shared = dynamic_shared_memory();
  const SortedSumMemory<Scalar> memory(shared + bytes_of_warps<Scalar>(blockDim.x, kOrder),
                                       problem.size);
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    plan_scan<Scalar, kOrder>(problem, row, plan);
    sort_row(problem, row, memory.sort);
    sum_scanned_row<Scalar, kOrder>(problem, plan, row, memory, shared);
  }
}

/// All rows, some at a time: all blocks sort them, then each is one block's.
template <class Scalar, int kOrder>
__global__ void __launch_bounds__(kMostSummingThreads, 1)
    scan_rows_together(KernelSum problem, TogetherMemory memory) {
  __shared__ RowPlan plan;
  char* const shared = dynamic_shared_memory();
  for (int64_t first = 0; first < problem.rows; first += memory.rows) {
    const int64_t left = problem.rows - first, count = left < memory.rows ? left : memory.rows;
    const auto memory_of = [&](int64_t number) -> SortedSumMemory<Scalar> {
      return {memory.sorting + number * memory.bytes_a_sort, problem.size};
    };
    sort_together<SortKey<Scalar>>(
        memory.tiles, count,
        [&](int64_t number, int64_t i) { return key_of_item<Scalar>(problem, first + number, i); },
        [&](int64_t number, int which) { return memory_of(number).sort.piece(which); }, shared);
    wait_for_grid();
    for_blocks(count, [&](int64_t number) {
      plan_scan<Scalar, kOrder>(problem, first + number, plan);
      sum_scanned_row<Scalar, kOrder>(problem, plan, first + number, memory_of(number), shared);
    });
    wait_for_grid();  // before other rows take the memory
  }
}

}  // namespace rank_relax::cuda
