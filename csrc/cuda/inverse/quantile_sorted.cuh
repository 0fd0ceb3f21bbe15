#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/series/kernel_series.h"
#include "cuda/inverse/level_search.cuh"
#include "cuda/inverse/quantile_grid.cuh"
#include "cuda/inverse/quantile_row.cuh"
#include "cuda/series/series_tables.h"

namespace rank_relax::cuda {

// Long rows that span more boxes than that. All blocks sort a row and cut it into runs, the items
// of one box. Then a warp for a level sums at every step over the runs within reach, a lane a run:
// item by item where there are few, else by the series of core/series/quantile_series.h from the
// run's moments around its middle. O(reach) a level.

constexpr int64_t kFewItemsOfARun = 16;
static_assert(kQuantileTerms >= kFewItemsOfARun, "a row is sorted in the memory of its moments");

/// Memory of one row when it is sorted. It is sorted in that of its moments and values, of which
/// each has a double for an item.
struct SortedQuantileMemory {
  double* values;    // the finite ones, ascending
  double* moments;   // [slot][term]
  int64_t* count;    // the number of runs
  uint32_t* starts;  // the first item of each, and of a next

  static constexpr size_t bytes(int64_t size) {
    return static_cast<size_t>(size + slots(size) * kQuantileTerms + 1) * sizeof(double) +
           static_cast<size_t>(size + 1) * sizeof(uint32_t);
  }

  __device__ SortedQuantileMemory(void* memory, int64_t size) {
    values = static_cast<double*>(memory);
    moments = values + size;
    count = reinterpret_cast<int64_t*>(moments + slots(size) * kQuantileTerms);
    starts = reinterpret_cast<uint32_t*>(count + 1);
  }

  /// A run of more than kFewItemsOfARun holds an item whose number is a multiple of that.
  __device__ double* moments_of(int64_t begin) const {
    return moments + (begin + kFewItemsOfARun - 1) / kFewItemsOfARun * kQuantileTerms;
  }

 private:
  static constexpr int64_t slots(int64_t size) { return size / kFewItemsOfARun + 1; }
};

/// Items [begin, end), in units of the box from their middle.
struct QuantileRun {
  int64_t begin, end;
  double center;
  bool has_series;

  __device__ QuantileRun(const SortedQuantileMemory& sorted, int64_t run, double strength,
                         double width)
      : begin(sorted.starts[run]), end(sorted.starts[run + 1]) {
    const double first = sorted.values[begin], last = sorted.values[end - 1];
    constexpr double kRounding = 1 + 1e-3;  // of a position
    center = first / 2 + last / 2;
    has_series = end - begin > kFewItemsOfARun &&
                 scaled_difference(strength, last, first) <= width * kRounding;
  }
};

/// Boxes lie around the multiples of the width; where values are too large beside it for whole
/// numbers of boxes, a run is what gaps of a width enclose.
struct QuantileBoxes {
  double strength, width, per_width;

  __device__ QuantileBoxes(double strength, double width)
      : strength(strength),
        width(width),
        per_width(Smaller()(strength / width, std::numeric_limits<double>::max())) {}

  __device__ bool begins_run(const double* values, int64_t p) const {
    return p == 0 || !(rint(values[p] * per_width) == rint(values[p - 1] * per_width)) ||
           scaled_difference(strength, values[p], values[p - 1]) > width;
  }
};

/// How many runs begin in a part, which the memory of moments holds until the runs are known. By a
/// block, for ascending values that end with the part or sooner.
__device__ inline void count_run_begins(const SortedQuantileMemory& sorted,
                                        const QuantileBoxes& boxes, const ItemRange& part,
                                        int64_t number) {
  double begins = 0;
  for (int64_t p = part.begin + threadIdx.x; p < part.end; p += blockDim.x) {
    begins += boxes.begins_run(sorted.values, p) ? 1 : 0;
  }
  begins = reduce_in_block(begins, Sum());
  if (threadIdx.x == 0) {
    reinterpret_cast<uint32_t*>(sorted.moments)[number] = static_cast<uint32_t>(begins);
  }
}

/// The runs that begin in a part, from the counts of all.
__device__ inline void find_run_begins(const SortedQuantileMemory& sorted,
                                       const QuantileBoxes& boxes, const ItemRange& part,
                                       int64_t number, int64_t parts, int64_t count) {
  const auto* const counts = reinterpret_cast<const uint32_t*>(sorted.moments);
  double ahead = 0, all = 0;
  for (int64_t other = threadIdx.x; other < parts; other += blockDim.x) {
    if (other < number) ahead += counts[other];
    all += counts[other];
  }
  auto before = static_cast<int64_t>(reduce_in_block(ahead, Sum()));
  all = reduce_in_block(all, Sum());
  for (int64_t first = part.begin; first < part.end; first += blockDim.x) {
    const int64_t p = first + threadIdx.x;
    const bool begins = p < part.end && boxes.begins_run(sorted.values, p);
    int64_t here;
    const int64_t run = before + scan_in_block(int64_t{begins}, Sum(), here);
    if (begins) sorted.starts[run - 1] = static_cast<uint32_t>(p);
    before += here;
  }
  if (number > 0 || threadIdx.x != 0) return;
  *sorted.count = static_cast<int64_t>(all);
  sorted.starts[*sorted.count] = static_cast<uint32_t>(count);
}

/// The moments of a run, by a warp.
__device__ inline void find_run_moments(const SortedQuantileMemory& sorted, const QuantileRun& run,
                                        double strength, double width) {
  double sums[kQuantileTerms] = {};
  for (int64_t p = run.begin + lane(); p < run.end; p += kWarp) {
    const double s = 2 * (scaled_difference(strength, sorted.values[p], run.center) / width);
    double power = 1;
    for (int l = 0; l < kQuantileTerms; ++l, power *= s) sums[l] += power;
  }
  for (int first = 0; first < kQuantileTerms; first += 8) {
    const double sum = sum_eight_over_lanes(sums + first);
    if (lane() % 4 == 0) sorted.moments_of(run.begin)[first + lane() / 4] = sum;
  }
}

/// Adds what a run counts at an y that is d above its middle, by its series.
template <class Cdf>
__device__ void add_run(const QuantileTables& tables, const double* moments, double d,
                        CountAt<Cdf>& sum) {
  const double boxes = d / tables.box_width, nearest = rint(boxes), distance = fabs(nearest);
  const double count = moments[0];
  // No number if another kernel has written to the values since they were counted.
  if (!(distance <= tables.box_reach)) {
    sum.whole += nearest > 0 ? count : 0;
    return;
  }
  const bool above = nearest < 0;  // the run, mirrored
  const double sign = above ? -1 : 1, t = sign * 2 * (boxes - nearest);
  const double* series = distance == 0 ? tables.own
                                       : tables.tails + (static_cast<int64_t>(distance) - 1) *
                                                            (kQuantileTerms * kQuantileTerms);
  double value = 0, slope = 0;
  for (int k = kQuantileTerms - 1; k >= 0; --k) {
    double coefficient = 0;
    for (int l = 0; l < kQuantileTerms; l += 2) {
      coefficient += series[l * kQuantileTerms + k] * moments[l];
      coefficient += series[(l + 1) * kQuantileTerms + k] * (sign * moments[l + 1]);
    }
    slope = slope * t + value;
    value = value * t + coefficient;
  }
  slope *= 2 / tables.box_width;
  sum.whole += distance == 0 ? count / 2 : (above ? 0 : count);
  sum.tails += distance == 0 || above ? value : -value;
  sum.density += distance == 0 ? slope : -slope;
}

/// G - level at anchor + u/α, by a warp.
template <class Cdf>
__device__ Step count_sorted(const QuantileTables& tables, const SortedQuantileMemory& sorted,
                             double strength, double anchor, double level, double u) {
  const double* values = sorted.values;
  const auto above = [&](double x) { return u + scaled_difference(strength, anchor, x); };
  const int64_t begin = partition_in_warp(0, *sorted.count, [&](int64_t run) {
    return above(values[sorted.starts[run + 1] - 1]) > kTailReach<Cdf>;
  });
  const int64_t end = partition_in_warp(begin, *sorted.count, [&](int64_t run) {
    return above(values[sorted.starts[run]]) >= -kTailReach<Cdf>;
  });
  CountAt<Cdf> sum;
  for (int64_t number = begin + lane(); number < end; number += kWarp) {
    const QuantileRun run(sorted, number, strength, tables.box_width);
    if (run.has_series) {
      add_run(tables, sorted.moments_of(run.begin), above(run.center), sum);
    } else {
      for (int64_t p = run.begin; p < run.end; ++p) sum.add(above(values[p]));
    }
  }
  return sum.beside(level - static_cast<double>(sorted.starts[begin]));
}

/// One place of the results, by a warp. Whole levels in a wide gap are left out.
template <class Cdf>
__device__ void solve_sorted(const Quantile& problem, const QuantileTables& tables,
                             const SortedQuantileMemory& sorted, int64_t count,
                             const WantedLevel& wanted) {
  const double level = wanted.level;
  const double strength = problem.regularization_strength;
  const LevelBracket bracket =
      bracket_of<Cdf>([&](int64_t i) { return sorted.values[i]; }, count, strength, level);
  if (bracket.in_wide_gap) return;
  const auto count_at = [&](double u) {
    return count_sorted<Cdf>(tables, sorted, strength, bracket.anchor, level, u);
  };
  const double guess = scaled_difference(strength, bracket.next, bracket.anchor) / 2;
  const double u = find_root(count_at, guess, bracket.lower, bracket.upper);
  const double density = problem.densities != nullptr ? count_at(u).slope : 0;
  if (lane() == 0) {
    write_point(problem, wanted.row, wanted.place, bracket.anchor + u / strength,
                Larger()(0, density));
  }
}

}  // namespace rank_relax::cuda
