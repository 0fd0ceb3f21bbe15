#include <algorithm>

#include "cuda/launch/launch.h"
#include "cuda/projection/permutahedron.h"
#include "cuda/projection/permutahedron_derivative.cuh"
#include "cuda/projection/permutahedron_rank.cuh"
#include "cuda/projection/permutahedron_sort.cuh"
#include "cuda/row/rows_together.cuh"

namespace rank_relax::cuda {
namespace {

int threads_for(int64_t size, int most) {
  if (size <= 64) return kWarp;
  return size <= 256 ? 64 : (size <= 4096 ? 128 : most);
}

/// Rows, each with `bytes` of working memory, that are worked on at a time. As many as fill a
/// device with a block for each, while the memory for them is small; else 4 a multiprocessor.
int64_t rows_at_a_time(int64_t rows, size_t bytes) {
  constexpr int64_t kFewest = 4, kMost = 32, kCheapMemory = 64 << 20;
  const int64_t cheap = kCheapMemory / static_cast<int64_t>(std::max<size_t>(bytes, 1));
  const int64_t processors = multiprocessors();
  return std::min(rows, std::clamp(cheap, kFewest * processors, kMost * processors));
}

size_t memory_of(int64_t rows, size_t bytes) { return static_cast<size_t>(rows) * bytes; }

/// Blocks of threads that take the rows in turn, when these are sorted by `Key`: each the rows that
/// it has sorted itself, in a tile, or all blocks together those that have several.
template <class Key>
struct SortingBlocks {
  RowsAtATime at_a_time;
  Shape shape;

  /// `static_shared`: at least the bytes of static shared memory.
  SortingBlocks(const RowBatch& batch, size_t bytes, int most_threads, int64_t static_shared)
      : at_a_time{tiles_in<Key>(batch.size, most_shared_memory() - static_shared),
                  rows_at_a_time(batch.rows, bytes), nullptr, bytes} {
    const Tiles& tiles = at_a_time.tiles;
    const bool together = tiles.count() > 1;
    const int threads = threads_for(batch.size, most_threads);
    if (together) at_a_time.rows = std::min(at_a_time.rows, multiprocessors());
    shape = {together ? kBlocksTogether * multiprocessors() : at_a_time.rows, threads,
             bytes_of_tile<Key>(tiles.size), together};
  }

  size_t memory() const { return memory_of(at_a_time.rows, at_a_time.bytes); }

  template <class Problem>
  cudaError_t run(void (*kernel)(Problem, RowsAtATime), const Problem& problem, void* memory,
                  cudaStream_t stream) const {
    RowsAtATime rows = at_a_time;
    rows.memory = static_cast<char*>(memory);
    return launch(kernel, shape, stream, problem, rows);
  }
};

bool is_empty(const RowBatch& batch) { return batch.rows == 0 || batch.size == 0; }

bool in_double(const RowBatch& batch) { return batch.input.storage == Storage::kFloat64; }

template <class Scalar>
SortingBlocks<SortKey<Scalar>> projection_blocks(const RowBatch& batch) {
  return {batch, ProjectionMemory<Scalar>::bytes(batch.size), kMostSortingThreads, kStaticShared};
}

size_t projection_memory(const RowBatch& batch) {
  return in_double(batch) ? projection_blocks<double>(batch).memory()
                          : projection_blocks<float>(batch).memory();
}

SortingBlocks<uint32_t> derivative_blocks(const RowBatch& batch, int most_order) {
  const bool has_cumulants = most_order > 1;
  const int64_t of_cumulants =
      has_cumulants
          ? kMostCumulantThreads / kWarp * static_cast<int64_t>(sizeof(double)) << most_order
          : 0;
  return {batch, DerivativeMemory::bytes(batch.size),
          has_cumulants ? kMostCumulantThreads : kMostSortingThreads, kStaticShared + of_cumulants};
}

/// Calls enqueue(Projection(), Scalar()) for what is asked of.
template <class Enqueue>
cudaError_t dispatch(const RowBatch& batch, std::string_view method, const Enqueue& enqueue) {
  if (is_empty(batch)) return cudaSuccess;
  cudaError_t error = cudaErrorInvalidValue;
  if (batch.size > kMostBlocks) return error;
  Projections::visit(method, [&](auto projection) {
    error = in_double(batch) ? enqueue(projection, double()) : enqueue(projection, float());
  });
  return error;
}

/// The blocks, where a derivative was given none, and the memory in which they are found.
PermutahedronRank blocks_of(const PermutahedronRankDerivative& problem, int32_t* blocks) {
  PermutahedronRank rank;
  rank.batch = problem.batch;
  rank.blocks = blocks;
  return rank;
}

size_t bytes_of_blocks(const PermutahedronRankDerivative& problem) {
  if (problem.blocks != nullptr) return 0;
  return aligned(static_cast<size_t>(problem.batch.rows) * problem.batch.size * sizeof(int32_t));
}

}  // namespace

size_t permutahedron_rank_workspace(const PermutahedronRank& problem) {
  return is_empty(problem.batch) ? 0 : projection_memory(problem.batch);
}

cudaError_t permutahedron_rank(const PermutahedronRank& problem, std::string_view method,
                               void* workspace, cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    using Scalar = decltype(scalar);
    return projection_blocks<Scalar>(problem.batch)
        .run(rank_by_projection<decltype(projection), Scalar>, problem, workspace, stream);
  });
}

size_t permutahedron_rank_derivative_workspace(const PermutahedronRankDerivative& problem) {
  if (is_empty(problem.batch)) return 0;
  const size_t of_blocks = problem.blocks != nullptr ? 0 : projection_memory(problem.batch);
  // One after the other, in the same memory.
  return bytes_of_blocks(problem) +
         std::max(derivative_blocks(problem.batch, 1).memory(), of_blocks);
}

cudaError_t permutahedron_rank_derivative(const PermutahedronRankDerivative& problem,
                                          std::string_view method, void* workspace,
                                          cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    using Projection = decltype(projection);
    using Scalar = decltype(scalar);
    if (problem.order < 1 || problem.order > Projection::kMaxOrder) return cudaErrorInvalidValue;
    char* const memory = static_cast<char*>(workspace) + bytes_of_blocks(problem);
    PermutahedronRankDerivative with_blocks = problem;
    if (problem.blocks == nullptr) {
      auto* blocks = static_cast<int32_t*>(workspace);
      const cudaError_t error =
          permutahedron_rank(blocks_of(problem, blocks), method, memory, stream);
      if (error != cudaSuccess) return error;
      with_blocks.blocks = blocks;
    }
    const auto run = [&](auto kernel, int most_order) {
      return derivative_blocks(problem.batch, most_order).run(kernel, with_blocks, memory, stream);
    };
    if constexpr (std::is_same_v<Projection, Kl>) {
      if (problem.order > 2)
        return run(derivative_by_blocks<Kl, Scalar, Kl::kMaxOrder>, Kl::kMaxOrder);
      if (problem.order > 1) return run(derivative_by_blocks<Kl, Scalar, 2>, 2);
    }
    return run(derivative_by_blocks<Projection, Scalar, 1>, 1);
  });
}

size_t permutahedron_sort_workspace(const PermutahedronSort& problem) {
  return is_empty(problem.batch) ? 0 : projection_memory(problem.batch);
}

cudaError_t permutahedron_sort(const PermutahedronSort& problem, std::string_view method,
                               void* workspace, cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    using Scalar = decltype(scalar);
    return projection_blocks<Scalar>(problem.batch)
        .run(sort_by_projection<decltype(projection), Scalar>, problem, workspace, stream);
  });
}

size_t permutahedron_sort_product_workspace(const PermutahedronSortProduct& problem) {
  if (is_empty(problem.batch)) return 0;
  const size_t bytes = SortProductMemory::bytes(problem.batch.size);
  return memory_of(rows_at_a_time(problem.batch.rows, bytes), bytes);
}

cudaError_t permutahedron_sort_product(const PermutahedronSortProduct& problem,
                                       std::string_view method, void* workspace,
                                       cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    const size_t bytes = SortProductMemory::bytes(problem.batch.size);
    const Shape shape = {rows_at_a_time(problem.batch.rows, bytes),
                         threads_for(problem.batch.size, kMostSortingThreads)};
    return launch(multiply_sorted<decltype(projection), decltype(scalar)>, shape, stream, problem,
                  static_cast<char*>(workspace), bytes);
  });
}

}  // namespace rank_relax::cuda
