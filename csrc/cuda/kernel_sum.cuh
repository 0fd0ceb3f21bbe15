#pragma once

#include <cstdint>

#include "cuda/many_boxes.cuh"
#include "cuda/one_box.cuh"
#include "cuda/row_plan.cuh"
#include "cuda/sorted_row.cuh"

namespace rank_relax::cuda {

// The kernels of kernel_sum.h. Rows are cut into parts of a number and size that the shape fixes.

/// How rows are shared out: [rows * parts] blocks.
struct Parts {
  int64_t count;
  int64_t size;  // items of each, but for the last

  __device__ int64_t begin(int64_t part) const { return part * size; }
  __device__ int64_t end(int64_t part, int64_t row_size) const {
    return (part + 1) * size < row_size ? (part + 1) * size : row_size;
  }
};

/// Memory of long rows between the kernels, each array for one row after the other.
template <class Scalar>
struct LongRows {
  Parts parts;
  int64_t most_boxes;
  RowPlan* plans;
  RowStatistics* statistics;  // [part]
  double* moments;            // [part][set][l], of one box
  Scalar* local;              // [set][k]
  Fixed* grid_moments;        // [box][set][l]
  Fixed* grid_below;          // [box], and one more
  Scalar* grid_local;         // [box][set][k]

  __device__ double* moments_of(int64_t row, int64_t part, int numbers) const {
    return moments + (row * parts.count + part) * numbers;
  }
  __device__ Fixed* grid_moments_of(int64_t row, int numbers) const {
    return grid_moments + row * most_boxes * numbers;
  }
  __device__ Scalar* grid_local_of(int64_t row, int numbers) const {
    return grid_local + row * most_boxes * numbers;
  }
  __device__ Fixed* grid_below_of(int64_t row) const { return grid_below + row * (most_boxes + 1); }
};

/// Short rows, a block each, in one pass over the input; the second and third reading of a row come
/// from the cache. Sets sorted[row] where a row is left to sum_sorted. Cost: O(terms) an item.
template <class Scalar, int kOrder, int kThreads>
__global__ void __launch_bounds__(kThreads)
    sum_rows(KernelSum problem, const SeriesTables* tables, uint8_t* sorted) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ double of_warps[kThreads / kWarp * kNumbers], moments[kNumbers];
  __shared__ Scalar local[kNumbers];
  __shared__ RowPlan plan;
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    const RowStatistics found = statistics_of<Scalar, kOrder>(problem, row, 0, problem.size);
    if (threadIdx.x == 0) {
      plan = plan_of(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true);
      choose_form<Scalar, kOrder>(*tables, problem, /*grid=*/false, plan);
      sorted[row] = plan.form == Form::kSorted;
    }
    __syncthreads();
    if (plan.form == Form::kOneBox) {
      const double half_width = tables->half_width[plan.which];
      one_box_moments<Scalar, kOrder>(problem, plan, half_width, row, 0, problem.size, of_warps,
                                      moments);
      one_box_translate<Scalar, kOrder>(*tables, plan, moments, local);
      one_box_evaluate<Scalar, kOrder>(problem, plan, half_width, row, 0, problem.size, local);
    } else if (plan.form == Form::kDone) {
      write_without_sums<Scalar>(problem, plan, row, 0, problem.size);
    }
    __syncthreads();
  }
}

/// Long rows, first stage: statistics[part].
template <class Scalar, int kOrder>
__global__ void find_statistics(KernelSum problem, LongRows<Scalar> rows) {
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const RowStatistics found = statistics_of<Scalar, kOrder>(problem, row, rows.parts.begin(part),
                                                            rows.parts.end(part, problem.size));
  if (threadIdx.x == 0) rows.statistics[blockIdx.x] = found;
}

/// Second: the plan, a block a row.
template <class Scalar, int kOrder>
__global__ void make_plans(KernelSum problem, LongRows<Scalar> rows, const SeriesTables* tables,
                           uint8_t* sorted) {
  const int64_t row = blockIdx.x;
  RowStatistics found;
  found.clear();
  for (int64_t part = threadIdx.x; part < rows.parts.count; part += blockDim.x) {
    found.take_in(rows.statistics[row * rows.parts.count + part], kOrder);
  }
  found.reduce(kOrder);
  if (threadIdx.x != 0) return;
  RowPlan plan = plan_of(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true);
  choose_form<Scalar, kOrder>(*tables, problem, /*grid=*/true, plan);
  sorted[row] = plan.form == Form::kSorted;
  rows.plans[row] = plan;
}

/// Third: an empty grid, where there is one.
template <class Scalar, int kOrder>
__global__ void clear_grids(LongRows<Scalar> rows) {
  constexpr int kNumbers = kSets<kOrder> * kBoxTerms<Scalar>;
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const RowPlan& plan = rows.plans[row];
  if (plan.form != Form::kManyBoxes) return;
  const int64_t numbers = static_cast<int64_t>(plan.boxes) * kNumbers;
  Fixed* moments = rows.grid_moments_of(row, kNumbers);
  for (int64_t i = part * blockDim.x + threadIdx.x; i < numbers;
       i += rows.parts.count * blockDim.x) {
    moments[i] = 0;
  }
}

/// Fourth: the moments of every part, or in the grid.
template <class Scalar, int kOrder, int kThreads>
__global__ void __launch_bounds__(kThreads)
    add_moments(KernelSum problem, LongRows<Scalar> rows, const SeriesTables* tables) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ double of_warps[kThreads / kWarp * kNumbers];
  __shared__ RowPlan plan;
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const int64_t begin = rows.parts.begin(part), end = rows.parts.end(part, problem.size);
  if (threadIdx.x == 0) plan = rows.plans[row];
  __syncthreads();
  if (plan.form == Form::kOneBox) {
    one_box_moments<Scalar, kOrder>(problem, plan, tables->half_width[plan.which], row, begin, end,
                                    of_warps, rows.moments_of(row, part, kNumbers));
  } else if (plan.form == Form::kManyBoxes) {
    many_boxes_moments<Scalar, kOrder>(
        problem, plan, row, begin, end,
        rows.grid_moments_of(row, kSets<kOrder> * kBoxTerms<Scalar>));
  }
}

/// Fifth, a block of kMostThreads a row: the local series of one box from all parts, added in an
/// order that their number fixes, or what the far boxes of a grid count.
template <class Scalar, int kOrder>
__global__ void __launch_bounds__(kMostThreads)
    gather(LongRows<Scalar> rows, const SeriesTables* tables) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ double of_groups[kMostThreads], moments[kNumbers];
  const int64_t row = blockIdx.x;
  const RowPlan& plan = rows.plans[row];
  if (plan.form == Form::kOneBox) {
    const int groups = static_cast<int>(blockDim.x) / kNumbers;  // each takes every so many parts
    double sum = 0;
#pragma unroll 8
    for (int64_t part = threadIdx.x / kNumbers; part < rows.parts.count; part += groups) {
      sum += rows.moments_of(row, part, kNumbers)[threadIdx.x % kNumbers];
    }
    of_groups[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x < kNumbers) {
      for (int group = 1; group < groups; ++group) sum += of_groups[group * kNumbers + threadIdx.x];
      moments[threadIdx.x] = sum;
    }
    __syncthreads();
    one_box_translate<Scalar, kOrder>(*tables, plan, moments, rows.local + row * kNumbers);
  } else if (plan.form == Form::kManyBoxes && kOrder == 0) {
    count_below<Scalar, kOrder>(plan, rows.grid_moments_of(row, kBoxTerms<Scalar>),
                                rows.grid_below_of(row));
  }
}

/// Sixth: the local series of a grid's boxes, where these hold items.
template <class Scalar, int kOrder>
__global__ void translate_grids(KernelSum problem, LongRows<Scalar> rows,
                                const SeriesTables* tables) {
  constexpr int kTerms = kBoxTerms<Scalar>, kNumbers = kSets<kOrder> * kTerms;
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const RowPlan& plan = rows.plans[row];
  if (plan.form != Form::kManyBoxes) return;
  const double unit = fixed_point_unit(problem.size);
  const int64_t numbers = static_cast<int64_t>(plan.boxes) * kNumbers;
  const Fixed* moments = rows.grid_moments_of(row, kNumbers);
  for (int64_t i = part * blockDim.x + threadIdx.x; i < numbers;
       i += rows.parts.count * blockDim.x) {
    const int64_t box = i / kNumbers;
    const int number = static_cast<int>(i % kNumbers);
    if (moments[box * kNumbers] == 0) continue;
    const double coefficient = many_boxes_translate<Scalar, kOrder>(
        *tables, plan, box, number / kTerms, number % kTerms, moments, rows.grid_below_of(row));
    rows.grid_local_of(row, kNumbers)[i] = static_cast<Scalar>(coefficient / unit);
  }
}

/// Seventh: the results of every part.
template <class Scalar, int kOrder, int kThreads>
__global__ void evaluate_parts(KernelSum problem, LongRows<Scalar> rows,
                               const SeriesTables* tables) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ Scalar local[kNumbers];
  __shared__ RowPlan plan;
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const int64_t begin = rows.parts.begin(part), end = rows.parts.end(part, problem.size);
  if (threadIdx.x == 0) plan = rows.plans[row];
  __syncthreads();
  if (plan.form == Form::kOneBox) {
    for (int i = threadIdx.x; i < kSets<kOrder> * plan.terms; i += blockDim.x) {
      const int at = i / plan.terms * kSetTerms + i % plan.terms;
      local[at] = rows.local[row * kNumbers + at];
    }
    __syncthreads();
    one_box_evaluate<Scalar, kOrder>(problem, plan, tables->half_width[plan.which], row, begin, end,
                                     local);
  } else if (plan.form == Form::kManyBoxes) {
    many_boxes_evaluate<Scalar, kOrder>(problem, plan, row, begin, end,
                                        rows.grid_local_of(row, kSets<kOrder> * kBoxTerms<Scalar>));
  } else if (plan.form == Form::kDone) {
    write_without_sums<Scalar>(problem, plan, row, begin, end);
  }
}

/// One row that sum_rows or make_plans has left, by a block with memory of its own.
template <class Cdf, class Scalar>
__device__ void sum_one_sorted(const KernelSum& problem, const SeriesTables& tables, int64_t row,
                               char* memory) {
  __shared__ RowPlan plan;
  const RowStatistics found =
      problem.order == 0   ? statistics_of<Scalar, 0>(problem, row, 0, problem.size)
      : problem.order == 1 ? statistics_of<Scalar, 1>(problem, row, 0, problem.size)
                           : statistics_of<Scalar, 2>(problem, row, 0, problem.size);
  if (threadIdx.x == 0) {
    plan = plan_of(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true);
  }
  __syncthreads();
  sum_sorted_row<Cdf, Scalar>(problem, tables, plan, row, memory);
  __syncthreads();
}

/// The rows that `sorted` marks, a block each; see sorted_row.cuh. A block looks at as many marks
/// at a time as it has threads, so that a batch without such rows costs little more than the
/// launch.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads)
    sum_sorted(KernelSum problem, const SeriesTables* tables, const uint8_t* sorted, char* memory,
               size_t bytes_a_block) {
  const int64_t blocks = gridDim.x;
  for (int64_t first = blockIdx.x; first < problem.rows; first += blocks * blockDim.x) {
    const int64_t own = first + threadIdx.x * blocks;
    const bool marked = own < problem.rows && sorted[own] != 0;
    if (reduce_in_block(marked ? 1.0 : 0.0, Larger()) == 0) continue;
    for (int64_t row = first; row < problem.rows && row < first + blocks * blockDim.x;
         row += blocks) {
      if (sorted[row] == 0) continue;
      sum_one_sorted<Cdf, Scalar>(problem, *tables, row, memory + blockIdx.x * bytes_a_block);
    }
  }
}

}  // namespace rank_relax::cuda
