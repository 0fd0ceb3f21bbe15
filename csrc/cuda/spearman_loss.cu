#include <algorithm>

#include "cuda/launch/device_memory.h"
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

struct CorrelationMemory {
  Norms* norms;
  double* squares;
  size_t bytes;

  CorrelationMemory(const Correlation& problem, int64_t parts, void* begin) {
    DeviceMemory memory(begin);
    norms = memory.take<Norms>(problem.rows * parts);
    squares = memory.take<double>(problem.rows * parts);
    bytes = memory.used();
  }
};

template <class Scalar>
cudaError_t correlation_of(const Correlation& problem, void* workspace, cudaStream_t stream) {
  const int64_t parts = parts_of(problem.size), blocks = problem.rows * parts;
  Launches launches(stream);
  if (parts == 1) {
    const int threads = problem.size <= 128 ? 32 : (problem.size <= 1024 ? 128 : kThreads);
    launches.add(correlate_rows<Scalar>, {blocks, threads}, problem);
    return launches.error();
  }
  if (blocks > kMostBlocksOfAGrid) return cudaErrorInvalidValue;
  const int64_t size = (problem.size + parts - 1) / parts;
  const CorrelationMemory memory(problem, parts, workspace);
  const Shape shape = {blocks, kThreads};
  launches.add(find_norms<Scalar>, shape, problem, parts, size, memory.norms);
  launches.add(find_differences<Scalar>, shape, problem, parts, size, memory.norms, memory.squares);
  launches.add(write_correlations<Scalar>, shape, problem, parts, size, memory.norms,
               memory.squares);
  return launches.error();
}

}  // namespace

size_t correlation_workspace(const Correlation& problem) {
  const int64_t parts = parts_of(problem.size);
  return parts == 1 ? 0 : CorrelationMemory(problem, parts, nullptr).bytes;
}

cudaError_t correlation(const Correlation& problem, void* workspace, cudaStream_t stream) {
  if (problem.rows == 0) return cudaSuccess;
  return problem.in_double ? correlation_of<double>(problem, workspace, stream)
                           : correlation_of<float>(problem, workspace, stream);
}

}  // namespace rank_relax::cuda
