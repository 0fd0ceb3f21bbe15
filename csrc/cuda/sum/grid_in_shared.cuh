#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/series/kernel_series.h"
#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/sum/many_boxes.cuh"

namespace rank_relax::cuda {

// The grid of many_boxes.cuh in the shared memory of a block: of a whole row, or what a part of a
// long one adds.

/// The moments of a grid, [set][l][box], in one slot of 64 bits each. Shared memory adds integers
/// of 32 bits at full speed, those of 64 in a loop. So a float32 moment is two of the former,
/// 2^-bits and 2^-2bits of 1, of at most 2^(31 - bits) items: exact to 2^-32 of an item for 16384.
template <class Scalar>
class GridInShared {
 public:
  static constexpr bool kInHalves = sizeof(Scalar) == 4;
  static constexpr int64_t kMostItems = 1 << 14;  // whose halves do not overflow with bits to spare

  static constexpr int64_t kBytesOfSet = int64_t{sizeof(Fixed)} * kBoxTerms<Scalar>;  // of a box

  static constexpr int64_t bytes_a_box(int order) {
    return (kBytesOfSet << order) + static_cast<int64_t>(sizeof(Fixed));  // and of spare()
  }

  /// Of at most `items` items at a time; `row_size` is that of the whole row.
  __device__ GridInShared(char* memory, double boxes, int numbers, int64_t items, int64_t row_size)
      : slots_(reinterpret_cast<Fixed*>(memory)),
        boxes_(static_cast<int>(boxes)),
        numbers_(numbers),
        bits_(kInHalves ? 30 - ilogb(static_cast<double>(items)) : fixed_point_bits(row_size)),
        unit_(ldexp(1.0, bits_)) {}

  __device__ int boxes() const { return boxes_; }

  /// Room for a number a box, behind the moments.
  __device__ Fixed* spare() const { return slots_ + numbers_ * boxes_; }

  __device__ void clear() const {
    for (int i = threadIdx.x; i < numbers_ * boxes_; i += blockDim.x) slots_[i] = 0;
  }

  __device__ void add(int64_t box, int number, double moment) const {
    Fixed* const slot = slots_ + number * boxes_ + box;
    const double scaled = moment * unit_;
    if constexpr (kInHalves) {
      const double high = rint(scaled), low = (scaled - high) * unit_;
      auto* const halves = reinterpret_cast<unsigned*>(slot);
      atomicAdd(halves, static_cast<unsigned>(static_cast<int>(high)));
      atomicAdd(halves + 1, static_cast<unsigned>(static_cast<int>(rint(low))));
    } else {
      atomicAdd(slot, static_cast<Fixed>(llrint(scaled)));
    }
  }

  /// The sum in a slot, in units of 2^-sum_bits().
  __device__ int64_t sum(int slot) const {
    if constexpr (kInHalves) {
      const auto* const halves = reinterpret_cast<const unsigned*>(slots_ + slot);
      return static_cast<int64_t>(static_cast<int>(halves[0])) * (int64_t{1} << bits_) +
             static_cast<int>(halves[1]);
    } else {
      return static_cast<int64_t>(slots_[slot]);
    }
  }
  __device__ int sum_bits() const { return kInHalves ? 2 * bits_ : bits_; }

  /// Adds all sums to `moments`, box by box `stride` apart, with 2^`bits` for 1.
  __device__ void add_to(Fixed* moments, int64_t stride, int bits) const {
    const int shift = bits - sum_bits();
    for (int i = threadIdx.x; i < numbers_ * boxes_; i += blockDim.x) {
      const int64_t found = sum(i);
      if (found == 0) continue;
      const int64_t shifted = shift < 0 ? found >> -shift : found * (int64_t{1} << shift);
      atomicAdd(moments + i % boxes_ * stride + i / boxes_, static_cast<Fixed>(shifted));
    }
  }

  /// From here on the slots hold numbers of their own: the moments, and later a local series.
  __device__ void make_numbers() const {
    const double unit = ldexp(1.0, -sum_bits());
    for (int i = threadIdx.x; i < numbers_ * boxes_; i += blockDim.x) {
      set(i, static_cast<double>(sum(i)) * unit);
    }
  }

  /// 0 outside of the grid.
  __device__ double moment(int64_t box, int number) const {
    if (box < 0 || box >= boxes_) return 0;
    const Fixed bits = slots_[number * boxes_ + box];
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }

  __device__ void set_coefficient(int64_t box, int number, double value) const {
    const auto rounded = static_cast<Scalar>(value);
    Fixed bits = 0;
    memcpy(&bits, &rounded, sizeof rounded);
    slots_[number * boxes_ + box] = bits;
  }

  __device__ Scalar coefficient(int64_t box, int number) const {
    const Fixed bits = slots_[number * boxes_ + box];
    Scalar value;
    memcpy(&value, &bits, sizeof value);  // the low bytes
    return value;
  }

 private:
  __device__ void set(int slot, double value) const {
    Fixed bits;
    memcpy(&bits, &value, sizeof value);
    slots_[slot] = bits;
  }

  Fixed* slots_;
  int boxes_, numbers_, bits_;
  double unit_;
};

constexpr int kGridThreads = 512;
template <class Scalar>
constexpr int kBoxesAThread = sizeof(Scalar) == 4 ? 2 : 1;  // that share the loads of a series
template <class Scalar>
constexpr int64_t kMostBoxesInShared = kGridThreads * kBoxesAThread<Scalar>;

/// below[b] = the items in boxes before b, b = 0 .. boxes - 1, and their number.
template <class Scalar>
__device__ int64_t count_below(const GridInShared<Scalar>& grid, Fixed* below) {
  int64_t before = 0;
  for (int first = 0; first < grid.boxes(); first += blockDim.x) {
    const int box = first + static_cast<int>(threadIdx.x);
    const auto here = static_cast<int64_t>(grid.moment(box, 0));
    int64_t total;
    const int64_t scanned = scan_in_block(here, Sum(), total);
    if (box < grid.boxes()) below[box] = static_cast<Fixed>(before + scanned - here);
    before += total;
  }
  __syncthreads();
  return before;
}

/// Half the items in boxes below, less half of those above.
template <class Scalar>
__device__ double count_others(const GridInShared<Scalar>& grid, const Fixed* below, int64_t count,
                               int64_t box) {
  const auto before = static_cast<int64_t>(below[box]);
  const int64_t not_above = box + 1 < grid.boxes() ? static_cast<int64_t>(below[box + 1]) : count;
  return static_cast<double>(before - (count - not_above)) / 2;
}

/// The moments of one set of weights make way for the local series of their boxes, a thread for one
/// or two boxes. Boxes above mirror those below, K(-d) = ±K(d): with the moments m of one and m' of
/// the other at a distance, and p = ±1 that sign, K's coefficients c[l][k] are shared by
///
///     c[l][k] (m[l] + p m'[l])  for k + l even,   c[l][k] (m[l] - p m'[l])  for k + l odd.
template <class Scalar, int kOrder>
__device__ void translate_set(const SeriesTables& tables, const RowPlan& plan,
                              const GridInShared<Scalar>& grid, int set, const Fixed* below,
                              int64_t count) {
  constexpr int kTerms = kBoxTerms<Scalar>, kBoxes = kBoxesAThread<Scalar>;
  const double parity = kernel_parity(kOrder);
  const int reach = tables.box_reach[plan.capacity];
  double sums[kBoxes][kTerms] = {};
  for (int distance = 0; distance <= reach; ++distance) {
#pragma unroll
    for (int l = 0; l < kTerms; ++l) {
      const double* series = tables.grid + (distance * kTerms + l) * kTerms;
      double even[kBoxes], odd[kBoxes];
#pragma unroll
      for (int m = 0; m < kBoxes; ++m) {
        const int box = static_cast<int>(threadIdx.x) + m * kGridThreads;
        const double lower = box < grid.boxes() ? grid.moment(box - distance, set * kTerms + l) : 0;
        const double upper = distance > 0 ? grid.moment(box + distance, set * kTerms + l) : 0;
        even[m] = lower + parity * upper;
        odd[m] = lower - parity * upper;
      }
#pragma unroll
      for (int k = 0; k < kTerms; ++k) {
        const double coefficient = series[k];
#pragma unroll
        for (int m = 0; m < kBoxes; ++m) {
          sums[m][k] += coefficient * ((k + l) % 2 == 0 ? even[m] : odd[m]);
        }
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int m = 0; m < kBoxes; ++m) {
    const int box = static_cast<int>(threadIdx.x) + m * kGridThreads;
    if (box >= grid.boxes()) continue;
    if (kOrder == 0) sums[m][0] += count_others(grid, below, count, box) + plan.base;
#pragma unroll
    for (int k = 0; k < kTerms; ++k) grid.set_coefficient(box, set * kTerms + k, sums[m][k]);
  }
}

/// The results of a whole row by a block of kGridThreads.
template <class Scalar, int kOrder>
__device__ void sum_on_grid_in_shared(const KernelSum& problem, const SeriesTables& tables,
                                      const RowPlan& plan, int64_t row, char* memory) {
  const GridInShared<Scalar> grid(memory, plan.boxes, kSets<kOrder> * kBoxTerms<Scalar>,
                                  problem.size, problem.size);
  grid.clear();
  __syncthreads();
  many_boxes_moments<Scalar, kOrder>(
      problem, plan, problem.whole(row),
      [&](int64_t box, int number, double moment) { grid.add(box, number, moment); });
  __syncthreads();
  grid.make_numbers();
  __syncthreads();
  Fixed* const below = grid.spare();
  const int64_t count = kOrder == 0 ? count_below(grid, below) : 0;
  for (int set = 0; set < kSets<kOrder>; ++set) {
    translate_set<Scalar, kOrder>(tables, plan, grid, set, below, count);
  }
  __syncthreads();
  many_boxes_evaluate<Scalar, kOrder>(
      problem, plan, problem.whole(row),
      [&](int64_t box, int number) { return grid.coefficient(box, number); });
  __syncthreads();
}

/// What items [begin, end) of a long row add to the moments of its grid, [box][set][l], one set and
/// one piece of the row at a time.
template <class Scalar, int kOrder>
__device__ void add_by_grid_in_shared(const KernelSum& problem, const RowPlan& plan,
                                      const ItemRange& items, char* memory, Fixed* moments) {
  const int64_t row = items.row, end = items.end;
  constexpr int kTerms = kBoxTerms<Scalar>;
  constexpr int64_t kPiece = GridInShared<Scalar>::kMostItems;
  const GridInShared<Scalar> grid(memory, plan.boxes, kTerms,
                                  end - items.begin < kPiece ? end - items.begin : kPiece,
                                  problem.size);
  for (int64_t first = items.begin; first < end; first += kPiece) {
    const int64_t last = first + kPiece < end ? first + kPiece : end;
    for (int set = 0; set < kSets<kOrder>; ++set) {
      grid.clear();
      __syncthreads();
      many_boxes_moments<Scalar, kOrder>(problem, plan, {row, first, last},
                                         [&](int64_t box, int number, double moment) {
                                           if (number / kTerms == set)
                                             grid.add(box, number % kTerms, moment);
                                         });
      __syncthreads();
      grid.add_to(moments + set * kTerms, kSets<kOrder> * kTerms, fixed_point_bits(problem.size));
      __syncthreads();
    }
  }
}

}  // namespace rank_relax::cuda
