#include <algorithm>

#include "cuda/launch/launch.h"
#include "cuda/spearman_loss.h"
#include "cuda/sum/correlation.cuh"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kFewestItemsOfLong = 16384;  // rows that several blocks share
constexpr int64_t kPartItems = 4096, kMostParts = 1024;
constexpr int kThreads = 256;

int64_t parts_of(int64_t size) {
  if (size < kFewestItemsOfLong) return 1;
  return std::min((size + kPartItems - 1) / kPartItems, kMostParts);
}

template <class Scalar>
cudaError_t correlation_of(const Correlation& problem, void* workspace, cudaStream_t stream) {
  const int64_t parts = parts_of(problem.size), blocks = problem.rows * parts;
  constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;
  if (parts == 1) {
    const int threads = problem.size <= 128 ? 32 : (problem.size <= 1024 ? 128 : kThreads);
    return launch(correlate_rows<Scalar>, {std::min(blocks, kMostBlocks), threads}, stream,
                  problem);
  }
  if (blocks > kMostBlocks) return cudaErrorInvalidValue;
  const int64_t size = (problem.size + parts - 1) / parts;
  auto* norms = static_cast<Norms*>(workspace);
  auto* squares = reinterpret_cast<double*>(norms + blocks);
  cudaError_t error =
      launch(find_norms<Scalar>, {blocks, kThreads}, stream, problem, parts, size, norms);
  if (error != cudaSuccess) return error;
  error = launch(find_differences<Scalar>, {blocks, kThreads}, stream, problem, parts, size, norms,
                 squares);
  if (error != cudaSuccess) return error;
  return launch(write_correlations<Scalar>, {blocks, kThreads}, stream, problem, parts, size, norms,
                squares);
}

}  // namespace

size_t correlation_workspace(const Correlation& problem) {
  const int64_t parts = parts_of(problem.size);
  return parts == 1 ? 0 : problem.rows * parts * (sizeof(Norms) + sizeof(double));
}

cudaError_t correlation(const Correlation& problem, void* workspace, cudaStream_t stream) {
  if (problem.rows == 0) return cudaSuccess;
  return problem.in_double ? correlation_of<double>(problem, workspace, stream)
                           : correlation_of<float>(problem, workspace, stream);
}

}  // namespace rank_relax::cuda
