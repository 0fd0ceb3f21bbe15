#include <algorithm>

#include "cuda/correlation.cuh"
#include "cuda/launch.h"
#include "cuda/spearman_loss.h"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kFewestItemsOfLong = 16384;  // rows that several blocks share
constexpr int64_t kPartItems = 4096, kMostParts = 1024;

int64_t parts_of(int64_t size) {
  if (size < kFewestItemsOfLong) return 1;
  return std::min((size + kPartItems - 1) / kPartItems, kMostParts);
}

template <class Scalar>
cudaError_t correlation_of(const Correlation& problem, void* workspace, cudaStream_t stream) {
  const int64_t parts = parts_of(problem.size), blocks = problem.rows * parts;
  const int64_t part_size = (problem.size + parts - 1) / parts;
  const int threads = problem.size <= 128 ? 32 : (problem.size <= 1024 ? 128 : 256);
  auto* norms = static_cast<Norms*>(workspace);
  auto* squares = reinterpret_cast<double*>(norms + blocks);
  cudaError_t error =
      launch(find_norms<Scalar>, blocks, threads, stream, problem, parts, part_size, norms);
  if (error != cudaSuccess) return error;
  error = launch(find_differences<Scalar>, blocks, threads, stream, problem, parts, part_size,
                 norms, squares);
  if (error != cudaSuccess) return error;
  return launch(write_correlations<Scalar>, blocks, threads, stream, problem, parts, part_size,
                norms, squares);
}

}  // namespace

size_t correlation_workspace(const Correlation& problem) {
  return problem.rows * parts_of(problem.size) * (sizeof(Norms) + sizeof(double));
}

cudaError_t correlation(const Correlation& problem, void* workspace, cudaStream_t stream) {
  if (problem.rows == 0) return cudaSuccess;
  return problem.in_double ? correlation_of<double>(problem, workspace, stream)
                           : correlation_of<float>(problem, workspace, stream);
}

}  // namespace rank_relax::cuda
