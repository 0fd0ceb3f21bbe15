#pragma once

#include <cstdint>
#include <limits>

#include "cuda/inverse/quantile_row.cuh"
#include "cuda/launch/team.cuh"
#include "cuda/soft_topk.h"

namespace rank_relax::cuda {

// Products with the Jacobian of a mask, α f_i (v_i - Σ_j f_j v_j / Σ_j f_j), in double. Items
// without a density take no part; NaN where it is.

__device__ inline double load_vector(const SoftTopKProduct& problem, int64_t row, int64_t i) {
  if (problem.vectors.storage == Storage::kFloat64) return load<double>(problem.vectors, row, i);
  return load<float>(problem.vectors, row, i);
}

/// Σ f and Σ f v of items [begin, end), over a team.
template <class Team>
__device__ void sum_product(const SoftTopKProduct& problem, const ItemRange& items, Team& team,
                            double (&sums)[2]) {
  sums[0] = sums[1] = 0;
  for (int64_t i = items.begin + team.rank(); i < items.end; i += team.size()) {
    const auto density = load<double>(problem.densities, items.row, i);
    if (!(density > 0)) continue;
    sums[0] += density;
    sums[1] += density * load_vector(problem, items.row, i);
  }
  sums[0] = reduce_in_warp(sums[0], Sum());
  sums[1] = reduce_in_warp(sums[1], Sum());
  team.add_warps(sums);
}

template <class Team>
__device__ void write_product(const SoftTopKProduct& problem, const ItemRange& items,
                              const Team& team, const double (&sums)[2]) {
  const double mean = sums[0] > 0 ? sums[1] / sums[0] : 0;
  for (int64_t i = items.begin + team.rank(); i < items.end; i += team.size()) {
    double product = load<double>(problem.densities, items.row, i);  // 0 or NaN
    if (product > 0) {
      product =
          problem.regularization_strength * product * (load_vector(problem, items.row, i) - mean);
    }
    store(problem.output, items.row * problem.size + i, product);
  }
}

constexpr int kTopKProductsABlock = 4;

/// Rows, a warp each.
static __global__ void multiply_by_warps(SoftTopKProduct problem) {
  WarpTeam team;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kTopKProductsABlock;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kTopKProductsABlock + warp();
       row < problem.rows; row += step) {
    const ItemRange items = {row, 0, problem.size};
    double sums[2];
    sum_product(problem, items, team, sums);
    write_product(problem, items, team, sums);
  }
}

/// Longer ones, a block each.
static __global__ void multiply_by_blocks(SoftTopKProduct problem) {
  __shared__ BlockTeam::Memory memory;
  BlockTeam team(memory);
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    const ItemRange items = {row, 0, problem.size};
    double sums[2];
    sum_product(problem, items, team, sums);
    write_product(problem, items, team, sums);
  }
}

/// Still longer ones, [rows * parts] blocks: the sums of every part, [row][part][2].
static __global__ void sum_parts_of_products(SoftTopKProduct problem, QuantileParts parts,
                                             double* of_parts) {
  __shared__ BlockTeam::Memory memory;
  BlockTeam team(memory);
  double sums[2];
  sum_product(problem, parts.range(), team, sums);
  if (threadIdx.x != 0) return;
  for (int l = 0; l < 2; ++l) of_parts[int64_t{blockIdx.x} * 2 + l] = sums[l];
}

/// And the products.
static __global__ void multiply_parts(SoftTopKProduct problem, QuantileParts parts,
                                      const double* of_parts) {
  __shared__ BlockTeam::Memory memory;
  BlockTeam team(memory);
  const int64_t first = parts.row() * parts.count;
  double sums[2] = {0, 0};
  for (int64_t part = threadIdx.x; part < parts.count; part += blockDim.x) {
    for (int l = 0; l < 2; ++l) sums[l] += of_parts[(first + part) * 2 + l];
  }
  for (double& sum : sums) sum = reduce_in_warp(sum, Sum());
  team.add_warps(sums);
  write_product(problem, parts.range(), team, sums);
}

}  // namespace rank_relax::cuda
