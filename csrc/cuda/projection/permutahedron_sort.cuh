#pragma once

#include "cuda/projection/permutahedron_row.cuh"

namespace rank_relax::cuda {

/// What is outside of the blocks at the places of a hard sort: -inf before `begin`, inf after the
/// finite values, then NaN, then 0 for masked items. By all threads.
template <class Scalar>
__device__ void write_outside_blocks(const PermutahedronSort& problem,
                                     const SortedFiniteRow<Scalar>& sorted, int64_t row) {
  constexpr int kKinds = 4;
  const double infinity = std::numeric_limits<double>::infinity();
  const double values[kKinds] = {0, std::numeric_limits<double>::quiet_NaN(), -infinity, infinity};
  const int64_t row_begin = row * problem.batch.size;
  int64_t next[kKinds] = {sorted.unmasked, sorted.counted(), 0, sorted.below + sorted.finite};
  for (int64_t first = sorted.finite; first < problem.batch.size; first += blockDim.x) {
    const int64_t p = first + threadIdx.x;
    const bool here = p < problem.batch.size;
    const int64_t i = here ? sorted.positions[p] : 0;
    Scalar unused;
    const int32_t number = here ? block_number(load_item(problem.batch, row, i, unused)) : 0;
#pragma unroll
    for (int k = 0; k < kKinds; ++k) {
      int64_t total;
      const bool of_kind = number == -1 - k;
      const int64_t place = next[k] + scan_in_block(int64_t{of_kind}, Sum(), total) - 1;
      next[k] += total;
      // Within bounds though another kernel should write to the values meanwhile.
      if (!of_kind || place >= problem.batch.size) continue;
      store(problem.values, row_begin + place, values[k]);
      problem.permutation[row_begin + place] = i;
      problem.blocks[row_begin + place] = number;
    }
  }
}

/// The strength and the values in units in which nothing overflows.
template <class Projection>
struct ValueUnits {
  double shrink, strength, unit, join_unit;

  template <class Scalar>
  __device__ ValueUnits(const SortedFiniteRow<Scalar>& sorted, double regularization_strength)
      : shrink(Projection::shrinkage(sorted.spread)),
        strength(regularization_strength * shrink),
        unit(sorted.unit * shrink),
        join_unit(Projection::join_unit(sorted.spread)) {}
};

/// The values inside of the blocks, by all threads.
template <class Projection, class Scalar>
__device__ void write_values(const SortedFiniteRow<Scalar>& sorted,
                             const ValueUnits<Projection>& units, const Results& values,
                             int64_t begin_of_results) {
  const auto coordinate = [&](int64_t p) {
    return Projection::value_coordinate(sorted.difference(p, sorted.begins[p]) * units.unit);
  };
  const double strength = units.strength;
  double* firsts = sorted.blocks.sums;
  sum_segments(
      sorted.finite, sorted.begins, coordinate, [&](int64_t begin, int64_t size, double sum) {
        const IsotonicBlock block = {begin, size, 0};
        firsts[begin] =
            size == 1 ? 0
                      : Projection::first_value(block, sum / static_cast<double>(size), strength);
      });
  for (int64_t p = threadIdx.x; p < sorted.finite; p += blockDim.x) {
    const int64_t begin = sorted.begins[p], size = sorted.size_of_block(begin);
    const double first = sorted.value(begin);
    double value = first * sorted.unit;
    if (size > 1) {
      // Values don't overflow, but the places may.
      const double half = isfinite(strength * static_cast<double>(size - 1)) ? 1 : 0.5;
      const double above_first =
          half * firsts[begin] + half * strength * static_cast<double>(p - begin);
      value = (half * first * units.unit + above_first) / (half * units.shrink);
    }
    store(values, begin_of_results + p, value);
  }
}

/// Cost: an argsort and O(size) a row.
template <class Projection, class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads, 1)
    sort_by_projection(PermutahedronSort problem, RowsAtATime at_a_time) {
  const RowBatch& batch = problem.batch;
  const auto work = [&](int64_t row, const ProjectionMemory<Scalar>& memory) {
    SortedFiniteRow<Scalar> sorted(batch, row, memory);
    const ValueUnits<Projection> units(sorted, batch.regularization_strength);
    const auto join = [=](IsotonicBlock& below, const IsotonicBlock& above, double difference) {
      return Projection::join_values(below, above, difference * (units.unit * units.join_unit),
                                     units.strength * units.join_unit, units.join_unit);
    };
    const int64_t finite_begin = row * batch.size + sorted.below;
    sorted.pool(Projection::kValueSumOfOne, join, [&](int64_t p, int64_t number) {
      problem.permutation[finite_begin + p] = sorted.positions[p];
      problem.blocks[finite_begin + p] = static_cast<int32_t>(number);
    });
    write_values<Projection>(sorted, units, problem.values, finite_begin);
    write_outside_blocks(problem, sorted, row);
  };
  for_sorted_rows<Scalar>(batch, at_a_time, work);
}

/// Memory of one block of threads for products with the Jacobian of sorted values.
struct SortProductMemory {
  double* weights;  // their sum, at a block's first place
  double* sums;     // that of what is multiplied, there too
  uint32_t* begins;

  static constexpr size_t bytes(int64_t size) {
    const auto count = static_cast<size_t>(size);
    return aligned(count * (2 * sizeof(double) + sizeof(uint32_t)));
  }

  __device__ SortProductMemory(char* memory, int64_t size)
      : weights(reinterpret_cast<double*>(memory)),
        sums(weights + size),
        begins(reinterpret_cast<uint32_t*>(sums + size)) {}
};

/// A row of a product; places are those of the sorted values.
template <class Projection, class Scalar>
struct SortProductRow {
  const PermutahedronSortProduct& problem;
  int64_t row, row_begin;
  uint32_t* begins;

  /// -1 for what is no item.
  __device__ int64_t item(int64_t place) const {
    const int64_t i = problem.permutation[row_begin + place];
    return i >= 0 && i < problem.batch.size ? i : -1;
  }

  __device__ bool in_block(int64_t place) const { return problem.blocks[row_begin + place] >= 0; }

  __device__ bool begins_at(int64_t place) const {
    const int32_t* blocks = problem.blocks + row_begin;
    return blocks[place] < 0 || blocks[place] != blocks[place - 1];
  }

  __device__ double value(int64_t place) const {
    const int64_t i = item(place);
    return i < 0 ? 0 : static_cast<double>(load<Scalar>(problem.batch.input, row, i));
  }

  __device__ double weight(int64_t place) const {
    if (!in_block(place) || item(place) < 0) return 0;
    return Projection::weight(value(place) - value(begins[place]));
  }

  /// What is added up in a block.
  __device__ double term(int64_t place) const {
    if (!in_block(place)) return 0;
    if (problem.transposed) return load<Scalar>(problem.vector, row, place);
    const int64_t i = item(place);
    return i < 0 ? 0 : weight(place) * load<Scalar>(problem.vector, row, i);
  }

  __device__ void write(int64_t place, double weights, double sum) const {
    const int64_t i = problem.transposed ? item(place) : place;
    if (i < 0) return;
    double result = 0;
    if (problem.blocks[row_begin + place] == block_number(Kind::kNan)) {
      result = std::numeric_limits<double>::quiet_NaN();
    } else if (in_block(place)) {
      result = problem.transposed ? weight(place) / weights * sum : sum / weights;
    }
    store(problem.output, row_begin + i, result);
  }
};

/// Rows, a block each, blockIdx.x, blockIdx.x + gridDim.x, ...; each block of threads has `bytes`
/// of the memory. Cost: O(size) a row.
template <class Projection, class Scalar>
__global__ void __launch_bounds__(kMostSortingThreads, 1)
    multiply_sorted(PermutahedronSortProduct problem, char* memory, size_t bytes) {
  const int64_t size = problem.batch.size;
  const SortProductMemory parts(memory + blockIdx.x * bytes, size);
  for (int64_t row = blockIdx.x; row < problem.batch.rows; row += gridDim.x) {
    const SortProductRow<Projection, Scalar> at{problem, row, row * size, parts.begins};
    find_segments(
        size, [&](int64_t place) { return at.begins_at(place); }, parts.begins,
        [](int64_t, int64_t) {});
    sum_segments(
        size, parts.begins, [&](int64_t place) { return at.weight(place); },
        [&](int64_t begin, int64_t, double sum) { parts.weights[begin] = sum; });
    sum_segments(
        size, parts.begins, [&](int64_t place) { return at.term(place); },
        [&](int64_t begin, int64_t, double sum) { parts.sums[begin] = sum; });
    for (int64_t place = threadIdx.x; place < size; place += blockDim.x) {
      at.write(place, parts.weights[parts.begins[place]], parts.sums[parts.begins[place]]);
    }
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
