#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/sum/kernel_of_pair.cuh"

namespace rank_relax::cuda {

/// What orders above 2 need of their directions, which no plan keeps.
struct PairwiseDirections {
  double scale[SmoothCdfs::kMaxOrder];
};

/// Σ_j term(j, x_j) over the finite items of a row by one thread, in double, chunks of 1024 items
/// apart; x_j in the plan's unit.
template <class Scalar, class Term>
__device__ double sum_over_items(const KernelSum& problem, const RowPlan& plan, int64_t row,
                                 const Term& term) {
  constexpr int64_t kChunk = 1024;
  double total = 0;
  for (int64_t begin = 0; begin < problem.size; begin += kChunk) {
    const int64_t end = begin + kChunk < problem.size ? begin + kChunk : problem.size;
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      Scalar other;
      if (load_item(problem, row, j, other) == Kind::kFinite) sum += term(j, other / plan.unit);
    }
    total += sum;
  }
  return total;
}

/// Σ_j Π_l (v_l[i] - v_l[j]) K(α (x_i - x_j)) for one item. Weights are differences and F is
/// centred, so that nothing cancels.
template <class Cdf, class Scalar>
__device__ double pairwise_sum(const KernelSum& problem, const RowPlan& plan,
                               const PairwiseDirections& directions,
                               const typename Cdf::Ratio* higher, int64_t row, int64_t i) {
  const double value = load<Scalar>(problem.input, row, i) / plan.unit;
  double own[SmoothCdfs::kMaxOrder];
  for (int l = 0; l < problem.order; ++l) {
    own[l] = directions.scale[l] * load<Scalar>(problem.directions[l], row, i);
  }
  return sum_over_items<Scalar>(problem, plan, row, [&](int64_t j, double other) {
    double term = kernel_of_pair<Cdf>(problem.order, plan, value, other, higher);
    for (int l = 0; l < problem.order; ++l) {
      term *= own[l] - directions.scale[l] * load<Scalar>(problem.directions[l], row, j);
    }
    return term;
  });
}

/// The same of order 0 for a row that counts: whole halves, beside which only tails F(-|d|) are
/// rounded. So few that are below an item keep their relative precision.
template <class Cdf, class Scalar>
__device__ double count_of_pairs(const KernelSum& problem, const RowPlan& plan, int64_t row,
                                 double value) {
  int64_t twice = 0;  // of the halves
  const double tails =
      sum_over_items<Scalar>(problem, plan, row, [&](int64_t, double other) -> double {
        const double difference = value - other;
        if (difference == 0) return 0;
        twice += difference > 0 ? 1 : -1;
        const double tail = Cdf::upper_tail(std::fabs(plan.strength * difference * plan.unit));
        return difference > 0 ? -tail : tail;
      });
  return (static_cast<double>(twice) / 2 + plan.base) + tails;
}

/// The largest deviation of every direction brings its scale; see RowPlan::scale. By a block, for
/// all of its threads.
template <class Scalar>
__device__ void scale_directions(const KernelSum& problem, int64_t row, RowPlan& plan,
                                 PairwiseDirections& directions) {
  for (int l = 0; l < problem.order; ++l) {
    RowStatistics found;
    found.clear();
    for (int64_t i = threadIdx.x; i < problem.size; i += blockDim.x) {
      Scalar value;
      if (load_item(problem, row, i, value) != Kind::kFinite) continue;
      found.take_in_direction(0, load<Scalar>(problem.directions[l], row, i), 1);
    }
    const double lowest = reduce_in_block(found.lowest[0], Smaller());
    const double highest = reduce_in_block(found.highest[0], Larger());
    const bool undefined = reduce_in_block(found.unfit, Sum()) > 0;
    if (threadIdx.x == 0) {
      if (undefined) plan.undefined = true;
      const double scale = direction_between(lowest, highest, lowest / 2 + highest / 2).scale;
      directions.scale[l] = scale;
      if (scale > 0) plan.scale /= scale;
    }
  }
  __syncthreads();
}

template <class Cdf, class Scalar>
__device__ void sum_item(const KernelSum& problem, const RowPlan& plan,
                         const PairwiseDirections& directions, int64_t row, int64_t i) {
  const typename Cdf::Ratio higher(problem.order > 2 ? problem.order : 1);
  Scalar value;
  const Kind kind = load_item(problem, row, i, value);
  const bool vanishes = plan.undefined || (plan.constant && problem.order % 2 == 0);
  double sum = plan.base;
  if (kind == Kind::kFinite && !vanishes) {
    sum = plan.counts ? count_of_pairs<Cdf, Scalar>(problem, plan, row, value / plan.unit)
                      : pairwise_sum<Cdf, Scalar>(problem, plan, directions, &higher, row, i);
  }
  write_result<Scalar>(problem, plan, row, i, kind, sum);
}

/// Rows of any size and orders of any number: [rows * tiles] blocks, each for blockDim.x items of a
/// row, whose statistics it takes by itself. If `forms` are given, only the rows that sum_rows or
/// make_plans leaves. Cost: O(size) an item.
template <class Cdf, class Scalar>
__global__ void sum_pairwise(KernelSum problem, int64_t tiles, const uint8_t* forms) {
  __shared__ RowPlan plan;
  __shared__ PairwiseDirections directions;
  const int64_t all = problem.rows * tiles;
  for (int64_t block = blockIdx.x; block < all; block += gridDim.x) {
    const int64_t row = block / tiles, i = block % tiles * blockDim.x + threadIdx.x;
    if (forms != nullptr && forms[row] != static_cast<uint8_t>(Form::kPairwise)) continue;
    const RowStatistics found = statistics_of<Scalar, 0>(problem, problem.whole(row));
    if (threadIdx.x == 0) {
      make_plan(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/false, plan);
    }
    __syncthreads();
    scale_directions<Scalar>(problem, row, plan, directions);
    if (i < problem.size) sum_item<Cdf, Scalar>(problem, plan, directions, row, i);
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
