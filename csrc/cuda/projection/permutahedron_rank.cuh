#pragma once

#include "cuda/projection/permutahedron_row.cuh"

namespace rank_relax::cuda {

/// From a rank's distance from the middle of all n to a result. A division, so that the hard ranks
/// 0 and 1 are exact however a product is fused with a sum.
struct RankScale {
  double others, shift;

  __device__ RankScale(int64_t counted, double shift)
      : others(static_cast<double>(counted > 1 ? counted - 1 : 1)),
        shift(counted > 1 ? shift : 0) {}

  __device__ double operator()(double from_the_middle) const {
    return Larger()(shift - 0.5, Smaller()(shift + 0.5, shift + from_the_middle / others));
  }
};

/// Infinities share their ranks out equally, as any equal values do.
template <class Scalar>
__device__ double rank_outside_blocks(const SortedFiniteRow<Scalar>& sorted, const RankScale& rank,
                                      Kind kind) {
  const RowCounts counts = {static_cast<double>(sorted.finite), static_cast<double>(sorted.below),
                            static_cast<double>(sorted.above)};
  switch (kind) {
    case Kind::kMasked:
      return 0;
    case Kind::kBelow:
      return rank(counts.below_from_middle());
    case Kind::kAbove:
      return rank(counts.above_from_middle());
    default:
      return std::numeric_limits<double>::quiet_NaN();
  }
}

/// The ranks inside of the blocks, by all threads.
template <class Projection, class Scalar>
__device__ void write_ranks(const SortedFiniteRow<Scalar>& sorted, const RankScale& rank,
                            double strength, const Results& ranks, int64_t row_begin) {
  const auto coordinate = [&](int64_t p) {
    return Projection::coordinate(strength * sorted.difference(p, sorted.begins[p]) * sorted.unit);
  };
  double* means = sorted.blocks.sums;
  sum_segments(sorted.finite, sorted.begins, coordinate,
               [&](int64_t begin, int64_t size, double sum) {
                 means[begin] = sum / static_cast<double>(size);
               });
  const double middle = static_cast<double>(sorted.counted() + 1) / 2;
  for (int64_t p = threadIdx.x; p < sorted.finite; p += blockDim.x) {
    const int64_t begin = sorted.begins[p];
    const double mean_rank = rank_relax::mean_rank({begin, sorted.size_of_block(begin), 0},
                                                   static_cast<double>(sorted.below));
    const double deviation = Projection::deviation(coordinate(p), means[begin], mean_rank);
    store(ranks, row_begin + sorted.positions[p], rank(mean_rank - middle + deviation));
  }
}

/// Cost: an argsort and O(size) a row.
template <class Projection, class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads, 1)
    rank_by_projection(PermutahedronRank problem, RowsAtATime at_a_time) {
  const RowBatch& batch = problem.batch;
  const auto work = [&](int64_t row, const ProjectionMemory<Scalar>& memory) {
    SortedFiniteRow<Scalar> sorted(batch, row, memory);
    const double strength = sorted.template strength<Projection>(batch), unit = sorted.unit;
    const double lower = static_cast<double>(sorted.below);
    const int64_t row_begin = row * batch.size;
    const auto join = [=](IsotonicBlock& left, const IsotonicBlock& right, double difference) {
      return Projection::join(left, right, strength * difference * unit, lower);
    };
    sorted.pool(Projection::kSumOfOne, join, [&](int64_t p, int64_t number) {
      if (problem.blocks == nullptr) return;
      problem.blocks[row_begin + sorted.positions[p]] = static_cast<int32_t>(number);
    });
    const RankScale rank(sorted.counted(), problem.shift);
    if (problem.ranks.data != nullptr) {
      write_ranks<Projection>(sorted, rank, strength, problem.ranks, row_begin);
    }
    for (int64_t p = sorted.finite + threadIdx.x; p < batch.size; p += blockDim.x) {
      Scalar value;
      const int64_t i = sorted.positions[p];
      const Kind kind = load_item(batch, row, i, value);
      if (problem.blocks != nullptr) problem.blocks[row_begin + i] = block_number(kind);
      if (problem.ranks.data == nullptr) continue;
      store(problem.ranks, row_begin + i, rank_outside_blocks(sorted, rank, kind));
    }
  };
  for_sorted_rows<Scalar>(batch, at_a_time, work);
}

}  // namespace rank_relax::cuda
