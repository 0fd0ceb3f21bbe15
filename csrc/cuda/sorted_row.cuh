#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/kernel_series.h"
#include "cuda/block.cuh"
#include "cuda/many_boxes.cuh"
#include "cuda/pairwise.cuh"
#include "cuda/row_plan.cuh"

namespace rank_relax::cuda {

// The kernel sum of a row that would have more boxes than items, by one block: O(n) passes of a
// radix sort, then O(reach) an item.
//
// - A gap wider than the reach splits the sorted items into clusters. Boxes lie around the
// multiples
//   of the width from a cluster's first item; those that hold items are the runs of the sorted row.
// - What a run's items see is its window: the runs of its cluster within reach. Items below the
//   window add 1/2 each to F - 1/2, items above it -1/2, to rounding.
// - A small window is summed pair by pair, lanes across its items. A large one goes through the
//   series of a grid: the moments of each run in it, translated to one local series.
//
// Windows and the order of adding depend on the values alone, so equal values get equal bits.

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
    return static_cast<size_t>(size + 1) * 2 * (sizeof(SortKey<Scalar>) + sizeof(uint32_t)) + 64;
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
__device__ void count_digits(const Key* keys, int64_t size, int place, int64_t* begins) {
  for (int d = threadIdx.x; d < kDigits; d += blockDim.x) begins[d] = 0;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    const auto digit = static_cast<int>((keys[i] >> (place * kDigitBits)) & (kDigits - 1));
    atomicAdd(reinterpret_cast<unsigned long long*>(begins + digit), 1ULL);
  }
  __syncthreads();
  int64_t before = 0;
  for (int first = 0; first < kDigits; first += blockDim.x) {
    const int d = first + static_cast<int>(threadIdx.x);
    const int64_t here = d < kDigits ? begins[d] : 0;
    int64_t total;
    const int64_t scanned = scan_in_block(here, Sum(), total);
    if (d < kDigits) begins[d] = before + scanned - here;
    before += total;
  }
  __syncthreads();
}

/// One stable pass by a digit: a tile of blockDim.x items at a time. `ahead` counts a tile's items
/// of each digit in each warp, then those in the warps before it.
template <class Key>
__device__ void scatter_by_digit(const Key* from, const uint32_t* from_positions, int64_t size,
                                 int place, Key* to, uint32_t* to_positions, int64_t* begins,
                                 uint32_t (*ahead)[kDigits]) {
  for (int64_t first = 0; first < size; first += blockDim.x) {
    for (int i = threadIdx.x; i < warps() * kDigits; i += blockDim.x) (&ahead[0][0])[i] = 0;
    __syncthreads();
    const int64_t i = first + threadIdx.x;
    const bool here = i < size;
    const Key key = here ? from[i] : Key{0};
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
      const int64_t at = begins[digit] + ahead[warp()][digit] + rank;
      to[at] = key;
      to_positions[at] = from_positions[i];
    }
    __syncthreads();
    for (int d = threadIdx.x, n = 0; d < kDigits; d += blockDim.x, ++n) begins[d] += tile[n];
    __syncthreads();
  }
}

/// Sorts the row into keys[0] and positions[0], finite items first.
template <class Scalar, class Problem>
__device__ void sort_row(const Problem& problem, int64_t row,
                         const SortedRowMemory<Scalar>& memory) {
  using Key = SortKey<Scalar>;
  __shared__ int64_t begins[kDigits];
  __shared__ uint32_t ahead[kMostSortingWarps][kDigits];
  for (int64_t i = threadIdx.x; i < problem.size; i += blockDim.x) {
    Scalar value;
    const bool finite = load_item(problem, row, i, value) == Kind::kFinite;
    memory.keys[0][i] = key_of(value, finite);
    memory.positions[0][i] = static_cast<uint32_t>(i);
  }
  __syncthreads();
  for (int place = 0; place < static_cast<int>(sizeof(Key)); ++place) {
    const int from = place % 2, to = 1 - from;
    count_digits(memory.keys[from], problem.size, place, begins);
    scatter_by_digit(memory.keys[from], memory.positions[from], problem.size, place,
                     memory.keys[to], memory.positions[to], begins, ahead);
  }
}

/// A row when it is sorted: item p is the p-th smallest. `clusters[p]` is the first item of p's
/// cluster, `runs[r]` the first of run r, and runs[run_count] = count.
template <class Scalar>
struct SortedRow {
  const KernelSum& problem;
  const SeriesTables& tables;
  const RowPlan& plan;
  int64_t row, count, run_count;
  const SortKey<Scalar>* keys;
  const uint32_t* positions;
  uint32_t* clusters;
  uint32_t* runs;

  /// In the plan's unit, in which no difference overflows.
  __device__ double value(int64_t p) const {
    return static_cast<double>(value_of<Scalar>(keys[p])) / plan.unit;
  }

  /// Box and coordinate of an item from its cluster's first. The difference is kept unrounded, in
  /// two parts.
  __device__ void place(int64_t p, double& box, double& coordinate) const {
    const double x = value(p), origin = value(clusters[p]);
    const double high = x - origin, back = x - high;
    const double low = (back - origin) + (x - (high + back));
    const double per_width = plan.strength * plan.unit / tables.box_width;
    const double width = tables.box_width / (plan.strength * plan.unit);
    const double width_rest =
        fma(-width, plan.strength * plan.unit, tables.box_width) / (plan.strength * plan.unit);
    box = rint(high * per_width);
    const double rest = fma(-box, width_rest, fma(-box, width, high) + low);
    coordinate = rest * 2 * per_width;
  }

  __device__ double box(int64_t p) const {
    double box, coordinate;
    place(p, box, coordinate);
    return box;
  }

  __device__ double weight(int l, int64_t p) const {
    return plan.directions[l](load<Scalar>(problem.directions[l], row, positions[p]));
  }

  /// The weight of an item in a set: 1, v, w, v w.
  __device__ double weight_in_set(int set, int64_t p) const {
    double product = 1;
    for (int l = 0; l < problem.order; ++l) {
      if ((set >> l & 1) != 0) product *= weight(l, p);
    }
    return product;
  }

  __device__ void find_clusters() {
    int64_t before = 0;
    for (int64_t first = 0; first < count; first += blockDim.x) {
      const int64_t p = first + threadIdx.x;
      const bool begins = p > 0 && p < count &&
                          (value(p) - value(p - 1)) * plan.strength * plan.unit > tables.reach;
      int64_t total;
      const int64_t latest = scan_in_block(begins ? p : int64_t{0}, Latest(), total);
      if (p < count) clusters[p] = static_cast<uint32_t>(latest > before ? latest : before);
      before = total > before ? total : before;
    }
    __syncthreads();
  }

  __device__ void find_runs() {
    int64_t before = 0;
    for (int64_t first = 0; first < count; first += blockDim.x) {
      const int64_t p = first + threadIdx.x;
      const bool begins =
          p < count && (p == 0 || clusters[p] != clusters[p - 1] || box(p) != box(p - 1));
      int64_t total;
      const int64_t number = before + scan_in_block(int64_t{begins}, Sum(), total);
      if (begins) runs[number - 1] = static_cast<uint32_t>(p);
      before += total;
    }
    run_count = before;
    if (threadIdx.x == 0) runs[run_count] = static_cast<uint32_t>(count);
    __syncthreads();
  }

 private:
  struct Latest {
    __device__ int64_t operator()(int64_t a, int64_t b) const { return a > b ? a : b; }
  };
};

/// The runs within reach of one, [begin, end). By a warp: a lane looks at one run on each side.
struct Window {
  int64_t begin, end;
};

template <class Scalar>
__device__ Window window_of(const SortedRow<Scalar>& sorted, int64_t run) {
  const int64_t item = sorted.runs[run];
  const uint32_t cluster = sorted.clusters[item];
  const double box = sorted.box(item), reach = sorted.tables.box_reach;
  const auto is_near = [&](int64_t other) {
    if (other < 0 || other >= sorted.run_count) return false;
    const int64_t first = sorted.runs[other];
    return sorted.clusters[first] == cluster && fabs(sorted.box(first) - box) <= reach;
  };
  const unsigned below = __ballot_sync(kAllLanes, is_near(run - 1 - lane()));
  const unsigned above = __ballot_sync(kAllLanes, is_near(run + 1 + lane()));
  return {run - __popc(below), run + 1 + __popc(above)};
}

/// The results of a run's items from all pairs with those of its window. By a warp.
template <class Cdf, class Scalar>
__device__ void sum_window_in_pairs(const SortedRow<Scalar>& sorted, int64_t run, int64_t begin,
                                    int64_t end, double far) {
  const int order = sorted.problem.order;
  for (int64_t p = sorted.runs[run]; p < sorted.runs[run + 1]; ++p) {
    double sum = 0;
    for (int64_t q = begin + lane(); q < end; q += kWarp) {
      double term =
          kernel_of_pair<Cdf>(order, sorted.plan, sorted.value(p), sorted.value(q), nullptr);
      for (int l = 0; l < order; ++l) term *= sorted.weight(l, p) - sorted.weight(l, q);
      sum += term;
    }
    sum = reduce_in_warp(sum, Sum()) + far;
    if (lane() == 0) {
      write_result<Scalar>(sorted.problem, sorted.plan, sorted.row, sorted.positions[p],
                           Kind::kFinite, sum);
    }
  }
}

/// local[set][k] of a run from the moments of the runs in its window, one after the other. By a
/// warp; `moments` and `local` are its own shared memory.
template <class Scalar>
__device__ void translate_window(const SortedRow<Scalar>& sorted, int64_t run, const Window& window,
                                 double* moments, double* local) {
  constexpr int kTerms = kBoxTerms<Scalar>;
  const int order = sorted.problem.order, sets = 1 << order;
  const double box = sorted.box(sorted.runs[run]);
  for (int i = lane(); i < sets * kTerms; i += kWarp) local[i] = 0;
  for (int64_t source = window.begin; source < window.end; ++source) {
    for (int set = 0; set < sets; ++set) {
      double sums[kTerms] = {};
      for (int64_t q = sorted.runs[source] + lane(); q < sorted.runs[source + 1]; q += kWarp) {
        double unused, s, power = sorted.weight_in_set(set, q);
        sorted.place(q, unused, s);
        for (int l = 0; l < kTerms; ++l, power *= s) sums[l] += power;
      }
      for (int first = 0; first < kTerms; first += 8) {
        const double sum = sum_eight_over_lanes(sums + first);
        if (lane() % 4 == 0) moments[set * kTerms + first + lane() / 4] = sum;
      }
    }
    __syncwarp();
    const double from = sorted.box(sorted.runs[source]);
    const auto distance = static_cast<int64_t>(fabs(box - from));
    const double* series = sorted.tables.grid + distance * kTerms * kTerms;
    const bool above = from > box;
    for (int i = lane(); i < sets * kTerms; i += kWarp) {
      const int k = i % kTerms;
      double sum = 0;
      for (int l = 0; l < kTerms; ++l) {
        const double mirrored = above && l % 2 == 1 ? -1 : 1;
        sum += mirrored * series[l * kTerms + k] * moments[i - k + l];
      }
      local[i] += above ? (k % 2 == 0 ? 1 : -1) * kernel_parity(order) * sum : sum;
    }
    __syncwarp();
  }
}

/// The results of a run's items from its local series. By a warp.
template <class Scalar>
__device__ void evaluate_run(const SortedRow<Scalar>& sorted, int64_t run, const double* local,
                             double far) {
  constexpr int kTerms = kBoxTerms<Scalar>;
  const int order = sorted.problem.order;
  for (int64_t p = sorted.runs[run] + lane(); p < sorted.runs[run + 1]; p += kWarp) {
    double unused, t, sum = 0;
    sorted.place(p, unused, t);
    for (int set = 0; set < 1 << order; ++set) {
      const double* series = local + set * kTerms;
      double value = series[kTerms - 1];
      for (int k = kTerms - 2; k >= 0; --k) value = value * t + series[k];
      // Π_l (v_l[i] - v_l[j]): the factors that are not the set's are at i, with its sign.
      double sign = 1;
      for (int l = 0; l < order; ++l) {
        if ((set >> l & 1) != 0)
          sign = -sign;
        else
          value *= sorted.weight(l, p);
      }
      sum += sign * value;
    }
    write_result<Scalar>(sorted.problem, sorted.plan, sorted.row, sorted.positions[p],
                         Kind::kFinite, sum + far);
  }
}

/// The results of a whole row, by a block of at most kMostSortingThreads.
template <class Cdf, class Scalar>
__device__ void sum_sorted_row(const KernelSum& problem, const SeriesTables& tables,
                               const RowPlan& plan, int64_t row, void* memory) {
  constexpr int kMostNumbers = (1 << (kSeriesOrders - 1)) * kBoxTerms<Scalar>;
  constexpr int64_t kSmallWindow = 256;
  __shared__ double numbers[kMostSortingWarps][2][kMostNumbers];
  const SortedRowMemory<Scalar> parts(memory, problem.size);
  sort_row(problem, row, parts);
  SortedRow<Scalar> sorted{problem,
                           tables,
                           plan,
                           row,
                           static_cast<int64_t>(plan.finite),
                           0,
                           parts.keys[0],
                           parts.positions[0],
                           parts.positions[1],
                           reinterpret_cast<uint32_t*>(parts.keys[1])};
  sorted.find_clusters();
  sorted.find_runs();
  for (int64_t run = warp(); run < sorted.run_count; run += warps()) {
    const Window window = window_of(sorted, run);
    const int64_t begin = sorted.runs[window.begin], end = sorted.runs[window.end];
    const double far =
        problem.order > 0
            ? 0
            : (static_cast<double>(begin) - static_cast<double>(sorted.count - end)) / 2;
    if (end - begin <= kSmallWindow) {
      sum_window_in_pairs<Cdf>(sorted, run, begin, end, far);
    } else {
      translate_window(sorted, run, window, numbers[warp()][0], numbers[warp()][1]);
      evaluate_run(sorted, run, numbers[warp()][1], far);
    }
    __syncwarp();
  }
  for (int64_t p = sorted.count + threadIdx.x; p < problem.size; p += blockDim.x) {
    const int64_t i = parts.positions[0][p];
    Scalar value;
    const Kind kind = load_item(problem, row, i, value);
    write_result<Scalar>(problem, plan, row, i, kind, 0);
  }
  __syncthreads();
}

}  // namespace rank_relax::cuda
