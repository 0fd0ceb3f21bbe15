#pragma once

#include <type_traits>

#include "cuda/projection/permutahedron_row.cuh"

namespace rank_relax::cuda {

// Derivatives of the ranks of a row, from the row's blocks, by the formulas of
// cpu/projection/block_derivative.h. Items are brought together block by block by a sort of the
// blocks' numbers, which keeps the row's order inside of a block.

constexpr int kMostCumulantThreads = 256;

/// Memory of one row of `size` items.
struct DerivativeMemory {
  SortedRowMemory<float> sort;  // by keys of 32 bits
  double* sums[2];              // at a block's first item, or of every item

  static constexpr size_t bytes(int64_t size) {
    return aligned(SortedRowMemory<float>::bytes(size)) +
           aligned(2 * static_cast<size_t>(size) * sizeof(double));
  }

  __device__ DerivativeMemory(char* memory, int64_t size) : sort(memory, size) {
    sums[0] = reinterpret_cast<double*>(memory + aligned(SortedRowMemory<float>::bytes(size)));
    sums[1] = sums[0] + size;
  }
};

/// What items are brought together by: those outside of all blocks come last.
constexpr uint32_t kOutside = 0xffffffff;

__device__ inline uint32_t key_of_block(const PermutahedronRankDerivative& problem, int32_t block) {
  return block >= 0 && block < problem.batch.size ? static_cast<uint32_t>(block) : kOutside;
}

/// A row whose items are brought together: item p < inside is the p-th of them, block by block;
/// then come those outside of all blocks.
template <class Scalar>
struct BlockRow {
  const PermutahedronRankDerivative& problem;
  int64_t row, row_begin;
  int64_t inside = 0, below = 0, counted = 0, number = 0;
  double strength, scale;
  const uint32_t* keys;
  const uint32_t* positions;
  uint32_t* begins;  // of the block of every item
  uint32_t* firsts;  // the first item of every block

  /// Of a row that is sorted by keys of its items' blocks. By all threads.
  template <class Projection>
  __device__ BlockRow(Projection, const PermutahedronRankDerivative& problem, int64_t row,
                      const SortedRowMemory<float>& memory)
      : problem(problem),
        row(row),
        row_begin(row * problem.batch.size),
        keys(memory.keys[0]),
        positions(memory.positions[0]),
        begins(memory.keys[1]),
        firsts(memory.positions[1]) {
    count();
    find_blocks();
    find_strength(Projection::kLinearSpread);
    const double factor =
        problem.factor.data == nullptr ? 1.0 : load<Scalar>(problem.factor, row, 0);
    scale = factor / static_cast<double>(counted > 1 ? counted - 1 : 1);
    for (int l = 0; l < problem.order; ++l) scale *= strength;
  }

  __device__ double value(int64_t p) const {
    return load<Scalar>(problem.batch.input, row, positions[p]);
  }

  /// Of a direction, from its value at the block's first item: what is common cancels exactly.
  __device__ double difference(int l, int64_t p, int64_t begin) const {
    return static_cast<double>(load<Scalar>(problem.directions[l], row, positions[p])) -
           static_cast<double>(load<Scalar>(problem.directions[l], row, positions[begin]));
  }

  /// e^d. Halved, the difference of two finite values doesn't overflow.
  __device__ double exponential(int64_t p, int64_t begin) const {
    return exp(2 * (strength * (value(p) / 2 - value(begin) / 2)));
  }

  /// The sum of the ranks of a block.
  __device__ double total(int64_t begin, int64_t size) const {
    return mean_rank({begin, size, 0}, static_cast<double>(below)) * static_cast<double>(size);
  }

  /// The result of item p: what its block number says if it is outside. A saturated row stays 0
  /// though α^k may overflow.
  __device__ void write(int64_t p, double sum) const {
    const int64_t i = positions[p];
    const int32_t block = problem.blocks[row_begin + i];
    double result = sum == 0 && !isnan(scale) ? 0 : scale * sum;
    if (p >= inside)
      result = block == block_number(Kind::kNan) ? std::numeric_limits<double>::quiet_NaN() : 0;
    if (problem.spread_nan && block != block_number(Kind::kMasked) &&
        isnan(load<Scalar>(problem.directions[0], row, i))) {
      result = std::numeric_limits<double>::quiet_NaN();
    }
    store(problem.output, row_begin + i, result);
  }

 private:
  __device__ void count() {
    double counts[3] = {};
    for (int64_t i = threadIdx.x; i < problem.batch.size; i += blockDim.x) {
      const int32_t block = problem.blocks[row_begin + i];
      counts[0] += keys[i] != kOutside;
      counts[1] += block == block_number(Kind::kBelow);
      counts[2] += block == block_number(Kind::kAbove);
    }
    inside = static_cast<int64_t>(reduce_in_block(counts[0], Sum()));
    below = static_cast<int64_t>(reduce_in_block(counts[1], Sum()));
    counted = inside + below + static_cast<int64_t>(reduce_in_block(counts[2], Sum()));
  }

  __device__ void find_blocks() {
    const auto begins_at = [this](int64_t p) { return keys[p] != keys[p - 1]; };
    number = find_segments(inside, begins_at, begins, [&](int64_t p, int64_t b) {
      if (p == 0 || begins_at(p)) firsts[b] = static_cast<uint32_t>(p);
    });
  }

  __device__ void find_strength(double linear_spread) {
    strength = problem.batch.regularization_strength;
    if (!problem.batch.for_correlation || inside < counted || inside == 0) return;
    double smallest = value(0), largest = smallest;
    for (int64_t p = threadIdx.x; p < inside; p += blockDim.x) {
      smallest = Smaller()(smallest, value(p));
      largest = Larger()(largest, value(p));
    }
    smallest = reduce_in_block(smallest, Smaller());
    largest = reduce_in_block(largest, Larger());
    strength = correlation_strength(strength, largest - smallest, linear_spread);
  }
};

/// By all threads.
template <class Scalar>
__device__ void write_deviations(const BlockRow<Scalar>& row, double* means) {
  const auto deviation = [&](int64_t p) { return row.difference(0, p, row.begins[p]); };
  sum_segments(row.inside, row.begins, deviation, [&](int64_t begin, int64_t size, double sum) {
    means[begin] = sum / static_cast<double>(size);
  });
  for (int64_t p = threadIdx.x; p < row.problem.batch.size; p += blockDim.x) {
    row.write(p, p < row.inside ? deviation(p) - means[row.begins[p]] : 0);
  }
}

/// By all threads.
template <class Scalar>
__device__ void write_weighted_deviations(const BlockRow<Scalar>& row, double* weights,
                                          double* means) {
  const auto share = [&](int64_t p) { return row.exponential(p, row.begins[p]); };
  const auto deviation = [&](int64_t p) { return row.difference(0, p, row.begins[p]); };
  sum_segments(row.inside, row.begins, share,
               [&](int64_t begin, int64_t, double sum) { weights[begin] = sum; });
  sum_segments(
      row.inside, row.begins, [&](int64_t p) { return share(p) * deviation(p); },
      [&](int64_t begin, int64_t size, double sum) {
        means[begin] = sum / weights[begin];
        weights[begin] = row.total(begin, size) / weights[begin];
      });
  for (int64_t p = threadIdx.x; p < row.problem.batch.size; p += blockDim.x) {
    double sum = 0;
    if (p < row.inside) {
      const int64_t begin = row.begins[p];
      sum = share(p) * weights[begin] * (deviation(p) - means[begin]);
    }
    row.write(p, sum);
  }
}

/// Who shares the items of one block: the lanes of a warp, or all threads.
struct OneWarp {
  __device__ static int index() { return lane(); }
  __device__ static int count() { return kWarp; }
  __device__ static double sum(double value) { return reduce_in_warp(value, Sum()); }
  __device__ static void wait() { __syncwarp(); }
};
struct AllThreads {
  __device__ static int index() { return static_cast<int>(threadIdx.x); }
  __device__ static int count() { return static_cast<int>(blockDim.x); }
  __device__ static double sum(double value) { return reduce_in_block(value, Sum()); }
  __device__ static void wait() { __syncthreads(); }
};

/// The joint cumulants of one block; see cpu/projection/block_derivative.h. `moments` are shared by
/// the team.
template <int kMostOrder, class Scalar>
struct BlockCumulants {
  const BlockRow<Scalar>& row;
  int64_t begin, end;
  double* shares;  // of every item of the row

  template <class Team>
  __device__ void write(Team team, double* moments) const {
    const int order = row.problem.order, sets = 1 << order;
    share_out(team);
    double centers[kMostOrder];
    for (int l = 0; l < order; ++l) {
      centers[l] = sum(team, [&](int64_t p) { return shares[p] * row.difference(l, p, begin); });
    }
    for (int set = 1; set < sets; ++set) {
      const double moment = sum(team, [&](int64_t p) {
        double product = shares[p];
        for (int l = 0; l < order; ++l) {
          if ((set >> l & 1) != 0) product *= row.difference(l, p, begin) - centers[l];
        }
        return product;
      });
      if (team.index() == 0) moments[set] = moment;
    }
    team.wait();
    const double total = row.total(begin, end - begin);
    for (int64_t p = begin + team.index(); p < end; p += team.count()) {
      row.write(p, total * product_of_all(p, centers, moments));
    }
    team.wait();
  }

 private:
  template <class Team, class Term>
  __device__ double sum(Team team, const Term& term) const {
    double own = 0;
    for (int64_t p = begin + team.index(); p < end; p += team.count()) own += term(p);
    return team.sum(own);
  }

  /// q. A thread reads the shares that it has written itself.
  template <class Team>
  __device__ void share_out(Team team) const {
    const double all = sum(team, [&](int64_t p) { return shares[p] = row.exponential(p, begin); });
    for (int64_t p = begin + team.index(); p < end; p += team.count()) shares[p] /= all;
  }

  /// q_T[p] for T all directions.
  __device__ double product_of_all(int64_t p, const double* centers, const double* moments) const {
    const int order = row.problem.order, sets = 1 << order;
    double products[1 << kMostOrder];
    products[0] = shares[p];
    for (int l = 0; l < order; ++l) {
      const double centered = row.difference(l, p, begin) - centers[l];
      for (int part = 0; part < 1 << l; ++part) products[1 << l | part] = products[part] * centered;
    }
    for (int set = 1; set < sets; ++set) {
      for (int part = (set - 1) & set;; part = (part - 1) & set) {
        products[set] -= moments[set ^ part] * products[part];
        if (part == 0) break;
      }
    }
    return products[sets - 1];
  }
};

/// By all threads: a warp a block of items, then all together those that are many.
template <int kMostOrder, class Scalar>
__device__ void write_cumulants(const BlockRow<Scalar>& row, double* shares) {
  constexpr int64_t kMostItemsOfAWarp = 512;
  __shared__ double moments[kMostCumulantThreads / kWarp][1 << kMostOrder];
  const auto block_of = [&](int64_t b) {
    const int64_t end = b + 1 < row.number ? row.firsts[b + 1] : row.inside;
    return BlockCumulants<kMostOrder, Scalar>{row, row.firsts[b], end, shares};
  };
  const auto is_large = [&](int64_t b) {
    if (b >= row.number) return false;
    const auto block = block_of(b);
    return block.end - block.begin > kMostItemsOfAWarp;
  };
  for (int64_t b = warp(); b < row.number; b += warps()) {
    if (!is_large(b)) block_of(b).write(OneWarp(), moments[warp()]);
  }
  __syncthreads();
  for (int64_t first = 0; first < row.number; first += blockDim.x) {
    if (reduce_in_block(is_large(first + threadIdx.x), Larger()) == 0) continue;
    for (int64_t b = first; b < first + blockDim.x; ++b) {
      if (is_large(b)) block_of(b).write(AllThreads(), moments[0]);
    }
  }
  for (int64_t p = row.inside + threadIdx.x; p < row.problem.batch.size; p += blockDim.x) {
    row.write(p, 0);
  }
}

/// With kMostOrder = 1 for orders without cumulants.
template <class Projection, class Scalar, int kMostOrder>
__global__ void __launch_bounds__(kMostOrder == 1 ? kMostSortingThreads : kMostCumulantThreads, 1)
    derivative_by_blocks(PermutahedronRankDerivative problem, RowsAtATime at_a_time) {
  const RowBatch& batch = problem.batch;
  const auto sort = [&](int64_t first, int64_t count) {
    sort_together<uint32_t>(
        at_a_time.tiles, count,
        [&](int64_t number, int64_t i) {
          return key_of_block(problem, problem.blocks[(first + number) * batch.size + i]);
        },
        [&](int64_t number, int which) {
          return DerivativeMemory(at_a_time.memory_of(number), batch.size).sort.piece(which);
        },
        dynamic_shared_memory());
  };
  at_a_time.for_rows(batch.rows, sort, [&](int64_t row, char* memory) {
    const DerivativeMemory parts(memory, batch.size);
    const BlockRow<Scalar> at(Projection(), problem, row, parts.sort);
    if constexpr (kMostOrder > 1) {
      write_cumulants<kMostOrder>(at, parts.sums[0]);
    } else if constexpr (std::is_same_v<Projection, Kl>) {
      write_weighted_deviations(at, parts.sums[0], parts.sums[1]);
    } else if (problem.order == 1) {
      write_deviations(at, parts.sums[0]);
    } else {
      for (int64_t p = threadIdx.x; p < batch.size; p += blockDim.x) at.write(p, 0);
    }
  });
}

}  // namespace rank_relax::cuda
