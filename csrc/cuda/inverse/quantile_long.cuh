#pragma once

#include <cstdint>
#include <limits>

#include "cuda/inverse/quantile_grid.cuh"
#include "cuda/inverse/quantile_row.cuh"
#include "cuda/inverse/quantile_sorted.cuh"
#include "cuda/row/rows_together.cuh"

namespace rank_relax::cuda {

// The kernels for rows that several blocks share. Each stage has [rows * parts] blocks, for parts
// whose number the shape fixes, or a block a row, or as many as wait for one another.

/// What is known of a row after its first stage.
struct QuantilePlan {
  RowStatistics found;
  bool has_grid;  // else it is sorted, if it has finite values
  QuantileGrid grid;
};

/// Memory of long rows between the kernels.
struct LongQuantileRows {
  QuantileParts items, places;
  QuantilePlan* plans;
  RowStatistics* statistics;  // [row][part]
  char* memory;               // of a grid or of a sorted row
  size_t bytes_a_row;
  int64_t most_boxes;

  __device__ QuantileGridMemory grid_of(int64_t row) const {
    return {memory + row * bytes_a_row, most_boxes};
  }
  __device__ SortedQuantileMemory sorted_of(int64_t row) const {
    return {memory + row * bytes_a_row, items.size};
  }
};

/// First stage: what is in every part.
static __global__ void count_quantile_items(RowBatch source, LongQuantileRows rows) {
  const RowStatistics found = count_items(source, rows.items.range());
  if (threadIdx.x == 0) rows.statistics[blockIdx.x] = found;
}

/// Second, a block a row: its form.
static __global__ void plan_quantiles(RowBatch source, LongQuantileRows rows,
                                      const QuantileTables* tables) {
  const int64_t row = blockIdx.x;
  QuantilePlan plan;
  plan.found.clear();
  for (int64_t part = threadIdx.x; part < rows.items.count; part += blockDim.x) {
    plan.found.take_in(rows.statistics[row * rows.items.count + part], 0);
  }
  plan.found.reduce(0);
  if (threadIdx.x != 0) return;
  plan.has_grid = place_quantile_grid(*tables, source.regularization_strength, plan.found,
                                      source.size, plan.grid);
  rows.plans[row] = plan;
}

/// Third: an empty grid, where there is one.
static __global__ void clear_quantile_grids(LongQuantileRows rows) {
  const int64_t row = rows.items.row();
  const QuantilePlan& plan = rows.plans[row];
  if (!plan.has_grid) return;
  const QuantileGridMemory memory = rows.grid_of(row);
  const int64_t step = rows.items.count * blockDim.x;
  for (int64_t i = rows.items.number() * blockDim.x + threadIdx.x;
       i < plan.grid.boxes * kQuantileTerms; i += step) {
    memory.moments[i] = 0;
    if (i < plan.grid.boxes) memory.counts[i] = 0;
  }
}

/// Fourth: the items of every box.
static __global__ void count_quantile_boxes(RowBatch source, LongQuantileRows rows, int64_t bytes) {
  const int64_t row = rows.items.row();
  const QuantilePlan& plan = rows.plans[row];
  if (!plan.has_grid) return;
  count_in_boxes(source, plan.grid, rows.items.range(), rows.grid_of(row).counts, bytes);
}

/// Fifth, a block a row: the items below every box.
static __global__ void scan_quantile_boxes(LongQuantileRows rows) {
  const QuantilePlan& plan = rows.plans[blockIdx.x];
  if (plan.has_grid) scan_boxes(plan.grid, rows.grid_of(blockIdx.x));
}

/// Sixth: the moments.
static __global__ void add_quantile_box_moments(RowBatch source, LongQuantileRows rows,
                                                int64_t bytes) {
  const int64_t row = rows.items.row();
  const QuantilePlan& plan = rows.plans[row];
  if (!plan.has_grid) return;
  add_quantile_moments(source, plan.grid, rows.items.range(), rows.grid_of(row), bytes);
}

/// Seventh: the polynomials of all boxes.
static __global__ void find_quantile_polynomials(LongQuantileRows rows,
                                                 const QuantileTables* tables) {
  const int64_t row = rows.items.row();
  const QuantilePlan& plan = rows.plans[row];
  if (!plan.has_grid) return;
  find_polynomials(*tables, plan.grid, rows.grid_of(row), rows.items.number(), rows.items.count);
}

/// Eighth: the rows that have no grid, sorted and cut into runs by all blocks, some at a time.
template <class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads, 1)
    sort_quantile_rows(RowBatch source, LongQuantileRows rows, const QuantileTables* tables,
                       Tiles tiles, Parts parts) {
  __shared__ int64_t numbers[kMostRowsTogether];
  const QuantileBoxes boxes(source.regularization_strength, tables->box_width);
  const auto is_sorted = [&](int64_t row) {
    return !rows.plans[row].has_grid && rows.plans[row].found.finite > 0;
  };
  const auto sorted_of = [&](int64_t number) { return rows.sorted_of(numbers[number]); };
  for (int64_t next = 0; next < source.rows;) {
    const int count = next_rows(source.rows, is_sorted, kMostRowsTogether, next, numbers);
    if (count == 0) return;  // as in all blocks
    sort_values_together<Scalar>(
        source, tiles, count, numbers, [&](int64_t number) { return sorted_of(number).moments; },
        [&](int64_t number) { return sorted_of(number).values; }, dynamic_shared_memory());
    const auto for_parts = [&](const auto& work) {
      for_blocks(count * parts.count, [&](int64_t unit) {
        const int64_t row = numbers[unit / parts.count], part = unit % parts.count;
        const auto finite = static_cast<int64_t>(rows.plans[row].found.finite);
        ItemRange range = parts.range(row, part, source.size);
        range.end = range.end < finite ? range.end : finite;
        work(rows.sorted_of(row), range, part, finite);
      });
      wait_for_grid();
    };
    for_parts([&](const SortedQuantileMemory& sorted, const ItemRange& range, int64_t part,
                  int64_t) { count_run_begins(sorted, boxes, range, part); });
    for_parts(
        [&](const SortedQuantileMemory& sorted, const ItemRange& range, int64_t part,
            int64_t finite) { find_run_begins(sorted, boxes, range, part, parts.count, finite); });
    int64_t ahead = 0;  // runs of rows before, or few long ones a row would be a few warps'
    for (int number = 0; number < count; ++number) {
      const SortedQuantileMemory sorted = sorted_of(number);
      const int64_t runs = *sorted.count;
      const auto find_moments = [&](int64_t index) {
        const QuantileRun run(sorted, index, boxes.strength, boxes.width);
        if (run.has_series) find_run_moments(sorted, run, boxes.strength, boxes.width);
      };
      for_warps(runs, find_moments, ahead);
      ahead += runs;
    }
  }
}

/// Ninth: the results, a thread for a place in a grid, a warp for one of a sorted row.
template <class Cdf>
__global__ void solve_long_rows(Quantile problem, LongQuantileRows rows,
                                const QuantileTables* tables) {
  const int64_t row = rows.places.row(), end = rows.places.end();
  const QuantilePlan& plan = rows.plans[row];
  const int lanes = plan.has_grid ? 1 : kWarp;
  for (int64_t place = rows.places.begin() + threadIdx.x / lanes; place < end;
       place += blockDim.x / lanes) {
    const Wanted wanted = wanted_at(problem, plan.found, row, place);
    if (!wanted.has_level) {
      if (threadIdx.x % lanes == 0) write_point(problem, row, place, wanted.point, 0);
    } else if (plan.has_grid) {
      solve_in_grid(problem, *tables, plan.grid, rows.grid_of(row), {row, place, wanted.level});
    } else {
      solve_sorted<Cdf>(problem, *tables, rows.sorted_of(row),
                        static_cast<int64_t>(plan.found.finite), {row, place, wanted.level});
    }
  }
}

/// The items on both sides of a whole level in a wide gap, by a block; false if it is in none.
template <class Cdf>
__device__ bool find_wide_gap(const RowBatch& source, const LongQuantileRows& rows,
                              const QuantileTables& tables, int64_t row, double level,
                              LevelBracket& bracket) {
  const QuantilePlan& plan = rows.plans[row];
  const double infinity = std::numeric_limits<double>::infinity();
  if (!plan.has_grid) {
    const SortedQuantileMemory sorted = rows.sorted_of(row);
    bracket = bracket_of<Cdf>([&](int64_t i) { return sorted.values[i]; },
                              static_cast<int64_t>(plan.found.finite),
                              source.regularization_strength, level);
    return bracket.in_wide_gap;
  }
  const int64_t box = box_of_level(plan.grid, rows.grid_of(row), level);
  if (!is_flat(tables, plan.grid, rows.grid_of(row), box, level)) return false;
  const double between = point_in_grid(plan.grid, box, 0);
  bracket.anchor = -infinity;
  bracket.next = infinity;
  for (int64_t i = threadIdx.x; i < source.size; i += blockDim.x) {
    double value;
    if (load_double(source, row, i, value) != Kind::kFinite) continue;
    if (value < between) bracket.anchor = Larger()(bracket.anchor, value);
    if (value > between) bracket.next = Smaller()(bracket.next, value);
  }
  bracket.anchor = reduce_in_block(bracket.anchor, Larger());
  bracket.next = reduce_in_block(bracket.next, Smaller());
  return true;
}

/// Last, for given levels, [rows * levels] blocks: whole levels in a wide gap, which the ninth has
/// left out. Cost: O(size) a step for such a level.
template <class Cdf>
__global__ void balance_wide_gaps(Quantile problem, LongQuantileRows rows,
                                  const QuantileTables* tables) {
  const RowBatch& source = problem;
  for (int64_t block = blockIdx.x; block < source.rows * problem.level_count; block += gridDim.x) {
    const int64_t row = block / problem.level_count, place = block % problem.level_count;
    const Wanted wanted = wanted_at(problem, rows.plans[row].found, row, place);
    LevelBracket bracket;
    if (!wanted.has_level || wanted.level != floor(wanted.level)) continue;
    if (!find_wide_gap<Cdf>(source, rows, *tables, row, wanted.level, bracket)) continue;
    const double point = point_in_gap<Cdf>(
        bracket, source.regularization_strength,
        [&](const auto& add) {
          for (int64_t i = threadIdx.x; i < source.size; i += blockDim.x) {
            double value;
            if (load_double(source, row, i, value) == Kind::kFinite) add(value);
          }
        },
        [](double sum) { return reduce_in_block(sum, Sum()); });
    if (threadIdx.x == 0) write_point(problem, row, place, point, 0);
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
