#pragma once

#include <cstdint>
#include <cstring>

#include "cuda/row/row_plan.cuh"
#include "cuda/row/rows_together.cuh"
#include "cuda/sum/grid_in_shared.cuh"
#include "cuda/sum/many_boxes.cuh"
#include "cuda/sum/one_box.cuh"
#include "cuda/sum/sorted_row.cuh"
#include "cuda/sum/sorted_together.cuh"

namespace rank_relax::cuda {

// The kernels of kernel_sum.h. Rows are cut into parts of a number and size that the shape fixes.

constexpr int64_t kPartsABlock = 4;  // whose moments one block adds, where it fills a grid

/// Memory of long rows between the kernels, each array for one row after the other.
template <class Scalar>
struct LongRows {
  Parts parts;
  int64_t most_boxes;
  int64_t shared;  // bytes of shared memory for moments of a grid
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

/// The plan of a row from what a block has found.
template <class Scalar, int kOrder>
__device__ void plan_found(const KernelSum& problem, int64_t row, const RowStatistics& found,
                           const FormChoice& choice, RowPlan& plan) {
  if (warp() == 0) {
    if (lane() == 0) {
      make_plan(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true, plan);
    }
    __syncwarp();
    choose_form<Scalar, kOrder>(choice, plan);
  }
  __syncthreads();
}

/// The form of a short row depends on its counts, minimum and maximum alone, whose reductions are
/// exact: so blocks of any size that plan a row agree, as sum_rows, which keeps the form, and
/// sum_on_grids do.
template <class Scalar, int kOrder>
__device__ void plan_row(const KernelSum& problem, const SeriesTables& tables, int64_t row,
                         int64_t most_boxes, RowPlan& plan) {
  plan_found<Scalar, kOrder>(problem, row,
                             statistics_of<Scalar, kOrder>(problem, problem.whole(row)),
                             {tables, most_boxes, /*has_total=*/false}, plan);
}

/// Short rows, a block each, in one pass over the input; the second and third reading of a row come
/// from the cache. Sets forms[row]; rows on a grid and sorted rows are left to other kernels. Cost:
/// O(terms) an item.
template <class Scalar, int kOrder, int kThreads>
__global__ void __launch_bounds__(kThreads)
    sum_rows(KernelSum problem, const SeriesTables* tables, int64_t most_boxes, uint8_t* forms) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ double of_warps[kThreads / kWarp * kNumbers], moments[kNumbers];
  __shared__ Scalar local[kNumbers];
  __shared__ RowPlan plan;
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    plan_row<Scalar, kOrder>(problem, *tables, row, most_boxes, plan);
    if (threadIdx.x == 0) forms[row] = static_cast<uint8_t>(plan.form);
    if (plan.form == Form::kOneBox) {
      one_box_moments<Scalar, kOrder>(problem, plan, problem.whole(row), of_warps, moments);
      one_box_translate<Scalar, kOrder>(*tables, plan, moments, local);
      one_box_evaluate<Scalar, kOrder>(problem, plan, problem.whole(row), local);
    } else if (plan.form == Form::kDone) {
      write_without_sums<Scalar>(problem, plan, problem.whole(row));
    }
    __syncthreads();
  }
}

/// Calls sum(row) for the rows of a form, shared out among all blocks. A block looks at as many
/// rows at a time as it has threads, so that a batch without such rows costs little more than the
/// launch.
template <class SumRow>
__device__ void for_rows_of_form(int64_t rows, const uint8_t* forms, Form form, const SumRow& sum) {
  const int64_t blocks = gridDim.x;
  const auto wanted = static_cast<uint8_t>(form);
  for (int64_t first = blockIdx.x; first < rows; first += blocks * blockDim.x) {
    const int64_t own = first + threadIdx.x * blocks;
    const bool marked = own < rows && forms[own] == wanted;
    if (reduce_in_block(marked ? 1.0 : 0.0, Larger()) == 0) continue;
    for (int64_t row = first; row < rows && row < first + blocks * blockDim.x; row += blocks) {
      if (forms[row] == wanted) sum(row);
    }
  }
}

/// The rows that sum_rows leaves to a grid in shared memory, of most_boxes at most.
template <class Scalar, int kOrder>
__global__ void __launch_bounds__(kGridThreads, 1)
    sum_on_grids(KernelSum problem, const SeriesTables* tables, int64_t most_boxes,
                 const uint8_t* forms) {
  __shared__ RowPlan plan;
  for_rows_of_form(problem.rows, forms, Form::kManyBoxes, [&](int64_t row) {
    plan_row<Scalar, kOrder>(problem, *tables, row, most_boxes, plan);
    // Another form, if another kernel has written to the values since the row was first looked at.
    if (plan.form != Form::kManyBoxes) return;
    sum_on_grid_in_shared<Scalar, kOrder>(problem, *tables, plan, row, dynamic_shared_memory());
  });
}

/// Long rows, first stage: statistics[part].
template <class Scalar, int kOrder>
__global__ void find_statistics(KernelSum problem, LongRows<Scalar> rows) {
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const RowStatistics found = statistics_of<Scalar, kOrder, /*kWithTotal=*/true>(
      problem, rows.parts.range(row, part, problem.size));
  if (threadIdx.x == 0) rows.statistics[blockIdx.x] = found;
}

/// Second: the plan, a block a row.
template <class Scalar, int kOrder>
__global__ void make_plans(KernelSum problem, LongRows<Scalar> rows, const SeriesTables* tables,
                           uint8_t* forms) {
  const int64_t row = blockIdx.x;
  RowStatistics found;
  found.clear();
  for (int64_t part = threadIdx.x; part < rows.parts.count; part += blockDim.x) {
    found.take_in(rows.statistics[row * rows.parts.count + part], kOrder);
  }
  found.reduce(kOrder, /*with_total=*/true);
  // Later stages copy the whole plan, whatever of it the form needs.
  if (threadIdx.x == 0) memset(&rows.plans[row], 0, sizeof(RowPlan));
  plan_found<Scalar, kOrder>(problem, row, found, {*tables, rows.most_boxes, /*has_total=*/true},
                             rows.plans[row]);
  if (threadIdx.x == 0) forms[row] = static_cast<uint8_t>(rows.plans[row].form);
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

/// The moments of parts in a row's grid. A grid that fits in shared memory is filled there, some
/// parts at a time, so that each of its moments goes to global memory once for many items.
template <class Scalar, int kOrder>
__device__ void add_to_grid(const KernelSum& problem, const RowPlan& plan,
                            const LongRows<Scalar>& rows, int64_t row, int64_t part) {
  constexpr int kNumbers = kSets<kOrder> * kBoxTerms<Scalar>;
  Fixed* const moments = rows.grid_moments_of(row, kNumbers);
  if (static_cast<int64_t>(plan.boxes) * GridInShared<Scalar>::kBytesOfSet <= rows.shared) {
    if (part % kPartsABlock != 0) return;
    const int64_t last = part + kPartsABlock - 1;
    add_by_grid_in_shared<Scalar, kOrder>(problem, plan,
                                          rows.parts.range(row, part, last, problem.size),
                                          dynamic_shared_memory(), moments);
    return;
  }
  const double unit = fixed_point_unit(problem.size);
  many_boxes_moments<Scalar, kOrder>(problem, plan, rows.parts.range(row, part, problem.size),
                                     [&](int64_t box, int number, double moment) {
                                       atomicAdd(moments + box * kNumbers + number,
                                                 static_cast<Fixed>(llrint(moment * unit)));
                                     });
}

/// Fourth: the moments of every part, or in the grid.
template <class Scalar, int kOrder, int kThreads>
__global__ void __launch_bounds__(kThreads) add_moments(KernelSum problem, LongRows<Scalar> rows) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ double of_warps[kThreads / kWarp * kNumbers];
  __shared__ RowPlan plan;
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const ItemRange items = rows.parts.range(row, part, problem.size);
  if (threadIdx.x == 0) plan = rows.plans[row];
  __syncthreads();
  if (plan.form == Form::kOneBox) {
    one_box_moments<Scalar, kOrder>(problem, plan, items, of_warps,
                                    rows.moments_of(row, part, kNumbers));
  } else if (plan.form == Form::kManyBoxes) {
    add_to_grid<Scalar, kOrder>(problem, plan, rows, row, part);
  }
}

/// Fifth, a block of kMostThreads a row: the local series of one box from all parts, added in an
/// order that their number fixes, or how many items lie in the boxes below each box of a grid.
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
        *tables, plan, {moments, rows.grid_below_of(row), unit}, box, number / kTerms,
        number % kTerms);
    rows.grid_local_of(row, kNumbers)[i] = static_cast<Scalar>(coefficient / unit);
  }
}

/// Seventh: the results of every part.
template <class Scalar, int kOrder, int kThreads>
__global__ void evaluate_parts(KernelSum problem, LongRows<Scalar> rows) {
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  __shared__ Scalar local[kNumbers];
  __shared__ RowPlan plan;
  const int64_t row = blockIdx.x / rows.parts.count, part = blockIdx.x % rows.parts.count;
  const ItemRange items = rows.parts.range(row, part, problem.size);
  if (threadIdx.x == 0) plan = rows.plans[row];
  __syncthreads();
  if (plan.form == Form::kOneBox) {
    for (int i = threadIdx.x; i < kSets<kOrder> * plan.terms; i += blockDim.x) {
      const int at = i / plan.terms * kSetTerms + i % plan.terms;
      local[at] = rows.local[row * kNumbers + at];
    }
    __syncthreads();
    one_box_evaluate<Scalar, kOrder>(problem, plan, items, local);
  } else if (plan.form == Form::kManyBoxes) {
    constexpr int kGridNumbers = kSets<kOrder> * kBoxTerms<Scalar>;
    const Scalar* grid_local = rows.grid_local_of(row, kGridNumbers);
    many_boxes_evaluate<Scalar, kOrder>(problem, plan, items, [&](int64_t box, int number) {
      return grid_local[box * kGridNumbers + number];
    });
  } else if (plan.form == Form::kDone) {
    write_without_sums<Scalar>(problem, plan, items);
  }
}

/// The rows that sum_rows leaves to a sort in shared memory, a block each; see sorted_row.cuh.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostSummingThreads, 1)
    sum_sorted(KernelSum problem, const SeriesTables* tables, const uint8_t* forms) {
  __shared__ RowPlan plan;
  char* const shared = dynamic_shared_memory();
  for_rows_of_form(problem.rows, forms, Form::kSorted, [&](int64_t row) {
    const RowStatistics found =
        problem.order == 0   ? statistics_of<Scalar, 0>(problem, problem.whole(row))
        : problem.order == 1 ? statistics_of<Scalar, 1>(problem, problem.whole(row))
                             : statistics_of<Scalar, 2>(problem, problem.whole(row));
    if (threadIdx.x == 0) {
      make_plan(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true, plan);
    }
    __syncthreads();
    sum_sorted_row<Cdf, Scalar>(problem, *tables, plan, row, shared,
                                shared + bytes_of_warps<Scalar>(blockDim.x, problem.order));
  });
}

/// The longer rows that sum_rows or make_plans leaves, by all blocks together; see
/// sorted_together.cuh.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostSummingThreads, 1)
    sum_sorted_together(KernelSum problem, const SeriesTables* tables, const uint8_t* forms,
                        TogetherMemory memory) {
  __shared__ int64_t rows[kMostRowsTogether];
  for (int64_t next = 0; next < problem.rows;) {
    const auto is_sorted = [=](int64_t row) {
      return forms[row] == static_cast<uint8_t>(Form::kSorted);
    };
    const int count = next_rows(problem.rows, is_sorted, memory.rows, next, rows);
    if (count == 0) return;  // as in all blocks
    SumTogether<Cdf, Scalar>{problem, *tables, memory, rows, count}.sum(dynamic_shared_memory());
  }
}

}  // namespace rank_relax::cuda
