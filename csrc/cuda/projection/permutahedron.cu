#include <algorithm>

#include "cuda/launch/launch.h"
#include "cuda/projection/permutahedron.h"
#include "cuda/projection/permutahedron_derivative.cuh"
#include "cuda/projection/permutahedron_rank.cuh"
#include "cuda/projection/permutahedron_sort.cuh"

namespace rank_relax::cuda {
namespace {

/// Blocks of threads, each with working memory for a row, that take the rows in turn.
struct BlocksOverRows {
  int64_t blocks;
  int threads;
  size_t bytes;  // of each block

  /// As many as fill a device, while the memory for them is small; else 4 a multiprocessor.
  BlocksOverRows(const RowBatch& batch, size_t bytes, int most_threads)
      : threads(threads_for(batch.size, most_threads)), bytes(bytes) {
    constexpr int64_t kFewest = 4, kMost = 32, kCheapMemory = 64 << 20;
    const int64_t cheap = kCheapMemory / static_cast<int64_t>(std::max<size_t>(bytes, 1));
    const int64_t processors = multiprocessors();
    blocks = std::min(batch.rows, std::clamp(cheap, kFewest * processors, kMost * processors));
  }

  static int threads_for(int64_t size, int most) {
    if (size <= 64) return kWarp;
    return size <= 256 ? 64 : (size <= 4096 ? 128 : most);
  }

  size_t memory() const { return static_cast<size_t>(blocks) * bytes; }

  template <class Problem>
  cudaError_t run(void (*kernel)(Problem, char*, size_t), const Problem& problem, void* memory,
                  cudaStream_t stream) const {
    return launch(kernel, {blocks, threads}, stream, problem, static_cast<char*>(memory), bytes);
  }
};

bool is_empty(const RowBatch& batch) { return batch.rows == 0 || batch.size == 0; }

bool in_double(const RowBatch& batch) { return batch.input.storage == Storage::kFloat64; }

BlocksOverRows projection_blocks(const RowBatch& batch) {
  return {batch,
          in_double(batch) ? ProjectionMemory<double>::bytes(batch.size)
                           : ProjectionMemory<float>::bytes(batch.size),
          kMostSortingThreads};
}

BlocksOverRows sort_product_blocks(const RowBatch& batch) {
  return {batch, SortProductMemory::bytes(batch.size), kMostSortingThreads};
}

BlocksOverRows derivative_blocks(const RowBatch& batch, bool with_cumulants) {
  return {batch, DerivativeMemory::bytes(batch.size),
          with_cumulants ? kMostCumulantThreads : kMostSortingThreads};
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
  return is_empty(problem.batch) ? 0 : projection_blocks(problem.batch).memory();
}

cudaError_t permutahedron_rank(const PermutahedronRank& problem, std::string_view method,
                               void* workspace, cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    const auto kernel = rank_by_projection<decltype(projection), decltype(scalar)>;
    return projection_blocks(problem.batch).run(kernel, problem, workspace, stream);
  });
}

size_t permutahedron_rank_derivative_workspace(const PermutahedronRankDerivative& problem) {
  if (is_empty(problem.batch)) return 0;
  const size_t of_blocks =
      problem.blocks != nullptr ? 0 : projection_blocks(problem.batch).memory();
  // One after the other, in the same memory.
  return bytes_of_blocks(problem) +
         std::max(derivative_blocks(problem.batch, false).memory(), of_blocks);
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
    const auto run = [&](auto kernel, bool with_cumulants) {
      return derivative_blocks(problem.batch, with_cumulants)
          .run(kernel, with_blocks, memory, stream);
    };
    if constexpr (std::is_same_v<Projection, Kl>) {
      if (problem.order > 2) return run(derivative_by_blocks<Kl, Scalar, Kl::kMaxOrder>, true);
      if (problem.order > 1) return run(derivative_by_blocks<Kl, Scalar, 2>, true);
    }
    return run(derivative_by_blocks<Projection, Scalar, 1>, false);
  });
}

size_t permutahedron_sort_workspace(const PermutahedronSort& problem) {
  return is_empty(problem.batch) ? 0 : projection_blocks(problem.batch).memory();
}

cudaError_t permutahedron_sort(const PermutahedronSort& problem, std::string_view method,
                               void* workspace, cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    const auto kernel = sort_by_projection<decltype(projection), decltype(scalar)>;
    return projection_blocks(problem.batch).run(kernel, problem, workspace, stream);
  });
}

size_t permutahedron_sort_product_workspace(const PermutahedronSortProduct& problem) {
  return is_empty(problem.batch) ? 0 : sort_product_blocks(problem.batch).memory();
}

cudaError_t permutahedron_sort_product(const PermutahedronSortProduct& problem,
                                       std::string_view method, void* workspace,
                                       cudaStream_t stream) {
  return dispatch(problem.batch, method, [&](auto projection, auto scalar) {
    const auto kernel = multiply_sorted<decltype(projection), decltype(scalar)>;
    return sort_product_blocks(problem.batch).run(kernel, problem, workspace, stream);
  });
}

}  // namespace rank_relax::cuda
