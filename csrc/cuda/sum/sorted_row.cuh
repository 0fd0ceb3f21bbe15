#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/series/kernel_series.h"
#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/sort/block_sort.cuh"
#include "cuda/sum/kernel_of_pair.cuh"
#include "cuda/sum/many_boxes.cuh"

namespace rank_relax::cuda {

// The kernel sum of a row that would have more boxes than items: a sort, then O(reach) an item. By
// one block where the row fits in shared memory, else by all blocks (sorted_together.cuh).
//
// - In a row of which no item has many others within reach, a thread takes an item, finds those
//   within reach by bisection, and sums their tails pair by pair. Each item below adds 1/2 to
//   F - 1/2, each above -1/2, but for its tail, which is nothing out of reach.
// - Else a gap wider than the reach splits the sorted items into clusters. Boxes lie around the
//   multiples of the width from a cluster's first item; those that hold items are the runs of the
//   sorted row. What a run's items see is its window: the runs of its cluster within reach. A small
//   window is summed pair by pair, lanes across its items. A large one goes through the series of a
//   grid: the moments of each run in it, translated to one local series.
//
// Windows and the order of adding depend on the values alone, so equal values get equal bits.

constexpr int kMostSummingThreads = 384;  // with registers enough for each

/// Memory of one block, shared or global, for the sums of a row of `size` items.
template <class Scalar>
struct SortedSumMemory {
  SortedRowMemory<Scalar> sort;
  Scalar* weights;  // [l][place]

  static constexpr int64_t bytes(int64_t size, int order) {
    return static_cast<int64_t>(SortedRowMemory<Scalar>::bytes(size)) +
           size * order * static_cast<int64_t>(sizeof(Scalar));
  }

  __device__ SortedSumMemory(char* memory, int64_t size)
      : sort(memory, size),
        weights(reinterpret_cast<Scalar*>(memory + SortedRowMemory<Scalar>::bytes(size))) {}
};

/// The starts of a sorted row's runs, and the moments of those of many items, in the keys that its
/// sort no longer needs: the starts from the front, one a run, the moments from the end. A run of
/// many items leaves that many places for starts empty, and its moments take no more.
template <class Scalar>
class RunMemory {
 public:
  static constexpr int64_t fewest_items_of_moments(int order) { return (16 << order) + 1; }

  __device__ RunMemory(const SortedRowMemory<Scalar>& sort, int64_t size, int order)
      : starts_(reinterpret_cast<uint32_t*>(sort.keys[1])),
        end_(reinterpret_cast<double*>(sort.keys[1] + size + 1)),
        order_(order) {}

  __device__ uint32_t* starts() const { return starts_; }

  /// [set][l] of a run; null if it has few items.
  __device__ double* moments(int64_t run) const {
    const int64_t begin = starts_[run], fewest = fewest_items_of_moments(order_);
    if (starts_[run + 1] - begin < fewest) return nullptr;
    const int64_t slot = (begin - run) / (fewest - 1);  // the runs before have emptied as many
    return slot_at(slot);
  }

  /// A row is cut into pieces of so many items. A run of several has the moments of each first.
  __device__ static constexpr int64_t items_of_piece(int order) { return int64_t{256} << order; }
  __device__ bool has_pieces(int64_t begin, int64_t end) const {
    return end - begin >= 4 * items_of_piece(order_);
  }

  /// [set][l] of one of a run's pieces. There are 16 times as many places as pieces in such a run.
  __device__ double* moments_of_piece(int64_t run, int64_t piece) const {
    const int64_t slot = (starts_[run] - run) / (fewest_items_of_moments(order_) - 1);
    return slot_at(slot + 1 + piece);
  }

 private:
  __device__ double* slot_at(int64_t slot) const {
    return end_ - (slot + 1) * (kBoxTerms<Scalar> << order_);
  }

  static_assert(kBoxTerms<Scalar> * sizeof(double) <= 16 * sizeof(SortKey<Scalar>),
                "a run's moments fit where starts are left out");

  uint32_t* starts_;
  double* end_;
  int order_;
};

/// Of an item that is not finite it is larger than all.
template <class Scalar, class Problem>
__device__ SortKey<Scalar> key_of_item(const Problem& problem, int64_t row, int64_t i) {
  Scalar value;
  const bool finite = load_item(problem, row, i, value) == Kind::kFinite;
  return key_of(value, finite);
}

/// Sorts the row into keys[0] and positions[0], in shared memory, finite items first.
template <class Scalar, class Problem>
__device__ void sort_row(const Problem& problem, int64_t row,
                         const SortedRowMemory<Scalar>& memory) {
  for (int64_t i = threadIdx.x; i < problem.size; i += blockDim.x) {
    memory.keys[0][i] = key_of_item<Scalar>(problem, row, i);
    memory.positions[0][i] = static_cast<uint32_t>(i);
  }
  bitonic_sort(memory.keys[0], memory.positions[0], static_cast<int>(problem.size));
}

/// Brings the weights of the finite ones among some places of the sorted order into it:
/// weights[l][place].
template <class Scalar>
__device__ void sort_weights(const KernelSum& problem, const RowPlan& plan, const ItemRange& places,
                             const uint32_t* positions, Scalar* weights) {
  const int64_t row = places.row, count = static_cast<int64_t>(plan.finite);
  const int64_t end = places.end < count ? places.end : count;
  for (int l = 0; l < problem.order; ++l) {
    for (int64_t p = places.begin + threadIdx.x; p < end; p += blockDim.x) {
      const auto weight =
          plan.directions[l](load<Scalar>(problem.directions[l], row, positions[p]));
      weights[l * count + p] = static_cast<Scalar>(weight);
    }
  }
  __syncthreads();
}

/// The results of the items behind the finite ones, among some places of the sorted order.
template <class Scalar>
__device__ void write_others(const KernelSum& problem, const RowPlan& plan, const ItemRange& places,
                             const uint32_t* positions) {
  const int64_t row = places.row, count = static_cast<int64_t>(plan.finite);
  const int64_t begin = places.begin > count ? places.begin : count;
  for (int64_t p = begin + threadIdx.x; p < places.end; p += blockDim.x) {
    const int64_t i = positions[p];
    Scalar value;
    const Kind kind = load_item(problem, row, i, value);
    write_result<Scalar>(problem, plan, row, i, kind, 0);
  }
}

/// A row when it is sorted: item p is the p-th smallest. `clusters[p]` is the first item of p's
/// cluster, `runs[r]` the first of run r, and runs[run_count] = count.
template <class Scalar>
struct SortedRow {
  const KernelSum& problem;
  const SeriesTables& tables;
  const RowPlan& plan;
  int64_t row, count, run_count = 0;
  const SortKey<Scalar>* keys;
  const uint32_t* positions;
  Scalar* weights;
  uint32_t* clusters;
  RunMemory<Scalar> run_memory;
  uint32_t* runs;
  double per_unit, width, width_rest;  // in the plan's unit

  __device__ SortedRow(const KernelSum& problem, const SeriesTables& tables, const RowPlan& plan,
                       int64_t row, const SortedSumMemory<Scalar>& memory)
      : problem(problem),
        tables(tables),
        plan(plan),
        row(row),
        count(static_cast<int64_t>(plan.finite)),
        keys(memory.sort.keys[0]),
        positions(memory.sort.positions[0]),
        weights(memory.weights),
        clusters(memory.sort.positions[1]),
        run_memory(memory.sort, problem.size, problem.order),
        runs(run_memory.starts()),
        per_unit(1 / plan.unit) {
    const GridPlacement grid = grid_placement(0, 0, tables.box_width, plan.strength);
    width = grid.width * per_unit;
    width_rest = grid.width_rest * per_unit;
  }

  __device__ Scalar item(int64_t p) const { return value_of<Scalar>(keys[p]); }

  /// In the plan's unit, in which no difference overflows.
  __device__ double value(int64_t p) const { return static_cast<double>(item(p)) * per_unit; }

  /// A difference, where boxes for a unit may be too many for a double.
  __device__ double in_boxes(double difference) const {
    return difference * plan.strength * (plan.unit / tables.box_width);
  }

  /// Box and coordinate of an item from its cluster's first. The difference is kept unrounded, in
  /// two parts.
  __device__ void place(int64_t p, double& box, double& coordinate) const {
    place_from(clusters[p], p, box, coordinate);
  }
  __device__ void place_from(int64_t first, int64_t p, double& box, double& coordinate) const {
    const double x = value(p), origin = value(first);
    const double high = x - origin, back = x - high;
    const double low = (back - origin) + (x - (high + back));
    box = rint(in_boxes(high));
    const double rest = fma(-box, width_rest, fma(-box, width, high) + low);
    coordinate = 2 * in_boxes(rest);
  }

  __device__ double box(int64_t p) const {
    double box, coordinate;
    place(p, box, coordinate);
    return box;
  }

  __device__ double weight(int l, int64_t p) const { return weights[l * count + p]; }

  /// The weight of an item in a set: 1, v, w, v w.
  __device__ double weight_in_set(int set, int64_t p) const {
    double product = 1;
    for (int l = 0; l < problem.order; ++l) {
      if ((set >> l & 1) != 0) product *= weight(l, p);
    }
    return product;
  }

  /// Whether α and the differences of values within reach are.
  __device__ bool in_range_of_float() const {
    return plan.unit == 1 && 1e-30 < plan.strength && plan.strength < 1e30;
  }

  __device__ bool within_reach(int64_t p, int64_t q) const {
    return fabs(value(p) - value(q)) * plan.strength * plan.unit <= tables.reach[plan.capacity];
  }

  __device__ bool begins_cluster(int64_t p) const { return p > 0 && !within_reach(p, p - 1); }

  /// Of an item whose cluster begins with `first`.
  __device__ bool begins_run(int64_t first, int64_t p) const {
    if (p == first) return true;
    double own, before, unused;
    place_from(first, p, own, unused);
    place_from(first, p - 1, before, unused);
    return own != before;
  }

  __device__ void find_clusters() {
    int64_t before = 0;
    for (int64_t first = 0; first < count; first += blockDim.x) {
      const int64_t p = first + threadIdx.x;
      int64_t total;
      const int64_t latest =
          scan_in_block(p < count && begins_cluster(p) ? p : int64_t{0}, Later(), total);
      if (p < count) clusters[p] = static_cast<uint32_t>(latest > before ? latest : before);
      before = total > before ? total : before;
    }
    __syncthreads();
  }

  __device__ void find_runs() {
    int64_t before = 0;
    for (int64_t first = 0; first < count; first += blockDim.x) {
      const int64_t p = first + threadIdx.x;
      const bool begins = p < count && begins_run(clusters[p], p);
      int64_t total;
      const int64_t number = before + scan_in_block(int64_t{begins}, Sum(), total);
      if (begins) runs[number - 1] = static_cast<uint32_t>(p);
      before += total;
    }
    run_count = before;
    if (threadIdx.x == 0) runs[run_count] = static_cast<uint32_t>(count);
    __syncthreads();
  }
};

/// The runs within reach of one, [begin, end). By a warp: a lane looks at one run at a time.
struct Window {
  int64_t begin, end;
};

template <class Scalar>
__device__ Window window_of(const SortedRow<Scalar>& sorted, int64_t run) {
  const int64_t item = sorted.runs[run];
  const uint32_t cluster = sorted.clusters[item];
  const double box = sorted.box(item), reach = sorted.tables.box_reach[sorted.plan.capacity];
  const auto is_near = [&](int64_t other) {
    if (other < 0 || other >= sorted.run_count) return false;
    const int64_t first = sorted.runs[other];
    return sorted.clusters[first] == cluster && fabs(sorted.box(first) - box) <= reach;
  };
  const auto near_on_side = [&](int64_t direction) {
    int64_t near = 0;
    for (int found = kWarp; found == kWarp; near += found) {
      found = __popc(__ballot_sync(kAllLanes, is_near(run + direction * (near + 1 + lane()))));
    }
    return near;
  };
  return {run - near_on_side(-1), run + 1 + near_on_side(1)};
}

/// Σ over items begin, begin + step, .. before `end` of the terms of item p. Chunks are added in
/// double. Of order 0 only tails are added up, F(-|d|) of items above and -F(-|d|) of items below:
/// many terms near -1/2 would round alike. The whole halves are in halves_of_others.
template <class Cdf, int kOrder, class Scalar>
__device__ double sum_in_pairs(const SortedRow<Scalar>& sorted, int64_t p, int64_t begin,
                               int64_t end, int64_t step) {
  constexpr int64_t kChunk = 32;
  const Scalar value = sorted.item(p);
  const auto strength = static_cast<Scalar>(sorted.plan.strength);
  const bool in_float = sorted.in_range_of_float();
  const auto kernel = [&](int64_t q) -> Scalar {
    if constexpr (sizeof(Scalar) == 4) {
      if (in_float) return fast_kernel_of_pair<Cdf, kOrder>(strength * (value - sorted.item(q)));
    }
    if constexpr (kOrder == 0) {
      const double difference = sorted.value(p) - sorted.value(q);
      return static_cast<Scalar>(
          Cdf::upper_tail(fabs(sorted.plan.strength * difference * sorted.plan.unit)));
    }
    return static_cast<Scalar>(
        kernel_of_pair<Cdf>(kOrder, sorted.plan, sorted.value(p), sorted.value(q), nullptr));
  };
  const Scalar* const weights = sorted.weights;
  double total = 0;
  while (begin < end) {
    const int64_t chunk_end = begin + kChunk * step < end ? begin + kChunk * step : end;
    Scalar sum = 0;
    for (; begin < chunk_end; begin += step) {
      Scalar term = kernel(begin);
      if constexpr (kOrder == 0) {
        const Scalar other = sorted.item(begin);
        term = other > value ? term : (other < value ? -term : 0);
      }
#pragma unroll
      for (int l = 0; l < kOrder; ++l) {
        term *= weights[l * sorted.count + p] - weights[l * sorted.count + begin];
      }
      sum += term;
    }
    total += sum;
  }
  return total;
}

template <class Cdf, class Scalar>
__device__ double sum_in_pairs(const SortedRow<Scalar>& sorted, int64_t p, int64_t begin,
                               int64_t end, int64_t step) {
  if (sorted.problem.order == 0) return sum_in_pairs<Cdf, 0>(sorted, p, begin, end, step);
  if (sorted.problem.order == 1) return sum_in_pairs<Cdf, 1>(sorted, p, begin, end, step);
  return sum_in_pairs<Cdf, 2>(sorted, p, begin, end, step);
}

/// How many items next to p are equal to it in a direction, 1 or -1: by bisection.
template <class Scalar>
__device__ int64_t items_equal(const SortedRow<Scalar>& sorted, int64_t p, int direction) {
  int64_t equal = 0, other = (direction > 0 ? sorted.count - 1 - p : p) + 1;
  const auto is_equal = [&](int64_t n) { return sorted.keys[p + direction * n] == sorted.keys[p]; };
  if (other == 1 || !is_equal(1)) return 0;
  while (other - equal > 1) {
    const int64_t middle = (equal + other) / 2;
    (is_equal(middle) ? equal : other) = middle;
  }
  return equal;
}

/// What is to be added to the sum of order 0 over pairs: 1/2 for each item below p, -1/2 for each
/// above, and the base.
template <class Scalar>
__device__ double halves_of_others(const SortedRow<Scalar>& sorted, int64_t p) {
  if (sorted.problem.order > 0) return 0;
  const int64_t first = p - items_equal(sorted, p, -1), last = p + items_equal(sorted, p, 1);
  return static_cast<double>(first + last + 1 - sorted.count) / 2 + sorted.plan.base;
}

/// What is to be added to a local series: what the items outside of the run add, and the base.
template <class Scalar>
__device__ double far_of_run(const SortedRow<Scalar>& sorted, int64_t begin, int64_t end) {
  if (sorted.problem.order > 0) return 0;
  const double outside = (static_cast<double>(begin) - static_cast<double>(sorted.count - end)) / 2;
  return outside + sorted.plan.base;
}

/// Whether no item has more than `most` others within reach on a side. By a block.
template <class Scalar>
__device__ bool all_see_few(const SortedRow<Scalar>& sorted, int64_t most) {
  double found = 0;
  for (int64_t p = threadIdx.x; p + most < sorted.count; p += blockDim.x) {
    if (sorted.within_reach(p, p + most)) found = 1;
  }
  return reduce_in_block(found, Larger()) == 0;
}

/// How many items next to p, up to `most`, are within reach in a direction, 1 or -1: by bisection.
template <class Scalar>
__device__ int64_t items_within_reach(const SortedRow<Scalar>& sorted, int64_t p, int direction,
                                      int64_t most) {
  const int64_t there = direction > 0 ? sorted.count - 1 - p : p;
  int64_t near = 0, far = (most < there ? most : there) + 1;
  while (far - near > 1) {
    const int64_t middle = (near + far) / 2;
    if (sorted.within_reach(p, p + direction * middle))
      near = middle;
    else
      far = middle;
  }
  return near;
}

/// The results of items [first, last), a thread each, from those within reach: at most `most` on a
/// side.
template <class Cdf, class Scalar>
__device__ void sum_neighbours(const SortedRow<Scalar>& sorted, int64_t first, int64_t last,
                               int64_t most) {
  for (int64_t p = first + threadIdx.x; p < last; p += blockDim.x) {
    const int64_t begin = p - items_within_reach(sorted, p, -1, most);
    const int64_t end = p + 1 + items_within_reach(sorted, p, 1, most);
    const double sum = sum_in_pairs<Cdf>(sorted, p, begin, end, 1) + halves_of_others(sorted, p);
    write_result<Scalar>(sorted.problem, sorted.plan, sorted.row, sorted.positions[p],
                         Kind::kFinite, sum);
  }
}

/// The results of a run's items from all pairs with those of its window. By a warp.
template <class Cdf, class Scalar>
__device__ void sum_window_in_pairs(const SortedRow<Scalar>& sorted, int64_t run, int64_t begin,
                                    int64_t end) {
  for (int64_t p = sorted.runs[run]; p < sorted.runs[run + 1]; ++p) {
    const double sum =
        reduce_in_warp(sum_in_pairs<Cdf>(sorted, p, begin + lane(), end, kWarp), Sum()) +
        halves_of_others(sorted, p);
    if (lane() == 0) {
      write_result<Scalar>(sorted.problem, sorted.plan, sorted.row, sorted.positions[p],
                           Kind::kFinite, sum);
    }
  }
}

/// The moments of items [begin, end) of a run, [set][l]. By a warp.
template <class Scalar>
__device__ void moments_of_items(const SortedRow<Scalar>& sorted, int64_t begin, int64_t end,
                                 double* moments) {
  constexpr int kTerms = kBoxTerms<Scalar>;
  for (int set = 0; set < 1 << sorted.problem.order; ++set) {
    double sums[kTerms] = {};
    for (int64_t q = begin + lane(); q < end; q += kWarp) {
      double unused, s, power = sorted.weight_in_set(set, q);
      sorted.place(q, unused, s);
#pragma unroll
      for (int l = 0; l < kTerms; ++l, power *= s) sums[l] += power;
    }
#pragma unroll
    for (int first = 0; first < kTerms; first += 8) {
      const double sum = sum_eight_over_lanes(sums + first);
      if (lane() % 4 == 0) moments[set * kTerms + first + lane() / 4] = sum;
    }
  }
  __syncwarp();
}

/// local[set][k] of a run from the moments of the runs in its window, one after the other. By a
/// warp; `own` and `local` are its own shared memory.
template <class Scalar>
__device__ void translate_window(const SortedRow<Scalar>& sorted, int64_t run, const Window& window,
                                 double* own, double* local) {
  constexpr int kTerms = kBoxTerms<Scalar>;
  const int order = sorted.problem.order, sets = 1 << order;
  const double box = sorted.box(sorted.runs[run]);
  for (int i = lane(); i < sets * kTerms; i += kWarp) local[i] = 0;
  for (int64_t source = window.begin; source < window.end; ++source) {
    const double* moments = sorted.run_memory.moments(source);
    if (moments == nullptr) {
      moments_of_items(sorted, sorted.runs[source], sorted.runs[source + 1], own);
      moments = own;
    }
    const double from = sorted.box(sorted.runs[source]), apart = fabs(box - from);
    // No number if another kernel has written to the values since they were counted.
    const int64_t distance = apart >= 0 ? static_cast<int64_t>(apart) : 0;
    const double* series = sorted.tables.grid + distance * kTerms * kTerms;
    const bool above = from > box;
    for (int i = lane(); i < sets * kTerms; i += kWarp) {
      const int k = i % kTerms;
      double sum = 0;
#pragma unroll
      for (int l = 0; l < kTerms; ++l) {
        const double mirrored = above && l % 2 == 1 ? -1 : 1;
        sum += mirrored * series[l * kTerms + k] * moments[i - k + l];
      }
      local[i] += above ? (k % 2 == 0 ? 1 : -1) * kernel_parity(order) * sum : sum;
    }
    __syncwarp();
  }
}

/// The results of items [begin, end) of a run from its local series. By a warp.
template <class Scalar>
__device__ void evaluate_items(const SortedRow<Scalar>& sorted, int64_t begin, int64_t end,
                               const double* local, double far) {
  constexpr int kTerms = kBoxTerms<Scalar>;
  const int order = sorted.problem.order;
  for (int64_t p = begin + lane(); p < end; p += kWarp) {
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

/// Bytes of shared memory in which warps sum runs.
template <class Scalar>
constexpr int64_t bytes_of_warps(int threads, int order) {
  return int64_t{threads / kWarp} * 2 * (kBoxTerms<Scalar> << order) *
         static_cast<int64_t>(sizeof(double));
}

/// The results of items [begin, end) of a run; all of it, if its window is small. By a warp, in
/// `of_warps` in shared memory.
template <class Cdf, class Scalar>
__device__ void sum_run(const SortedRow<Scalar>& sorted, int64_t run, int64_t begin, int64_t end,
                        double* of_warps) {
  constexpr int64_t kSmallWindow = 256;
  const int numbers = kBoxTerms<Scalar> << sorted.problem.order;
  double* const own = of_warps + warp() * 2 * numbers;
  const Window window = window_of(sorted, run);
  const int64_t window_begin = sorted.runs[window.begin], window_end = sorted.runs[window.end];
  if (window_end - window_begin <= kSmallWindow) {
    sum_window_in_pairs<Cdf>(sorted, run, window_begin, window_end);
  } else {
    translate_window(sorted, run, window, own, own + numbers);
    const double far = far_of_run(sorted, sorted.runs[run], sorted.runs[run + 1]);
    evaluate_items(sorted, begin, end, own + numbers, far);
  }
  __syncwarp();
}

/// The results of all items, run by run.
template <class Cdf, class Scalar>
__device__ void sum_runs(SortedRow<Scalar>& sorted, double* of_warps) {
  sorted.find_clusters();
  sorted.find_runs();
  for (int64_t run = warp(); run < sorted.run_count; run += warps()) {
    double* const moments = sorted.run_memory.moments(run);
    if (moments == nullptr) continue;
    moments_of_items(sorted, sorted.runs[run], sorted.runs[run + 1], moments);
  }
  __syncthreads();
  for (int64_t run = warp(); run < sorted.run_count; run += warps()) {
    sum_run<Cdf>(sorted, run, sorted.runs[run], sorted.runs[run + 1], of_warps);
  }
}

constexpr int64_t kFewNeighbours = 256;  // whose pairs a thread sums, on a side

/// The results of a whole row, by a block of at most kMostSummingThreads. `shared` is as large as
/// bytes_of_warps, `memory`, which is shared too, as SortedSumMemory says.
template <class Cdf, class Scalar>
__device__ void sum_sorted_row(const KernelSum& problem, const SeriesTables& tables,
                               const RowPlan& plan, int64_t row, char* shared, char* memory) {
  const SortedSumMemory<Scalar> parts(memory, problem.size);
  sort_row(problem, row, parts.sort);
  SortedRow<Scalar> sorted(problem, tables, plan, row, parts);
  sort_weights(problem, plan, problem.whole(row), sorted.positions, sorted.weights);
  if (all_see_few(sorted, kFewNeighbours)) {
    sum_neighbours<Cdf>(sorted, 0, sorted.count, kFewNeighbours);
  } else {
    sum_runs<Cdf>(sorted, reinterpret_cast<double*>(shared));
  }
  write_others<Scalar>(problem, plan, problem.whole(row), sorted.positions);
  __syncthreads();
}

}  // namespace rank_relax::cuda
