#include <cmath>

#include "cuda/launch/launch.h"
#include "cuda/soft_count.h"
#include "cuda/sum/sum_at_points.cuh"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kPointsAMultiprocessor = 512;  // from which on a thread takes one by itself
constexpr int kThreadsOfEnds = 256;

/// wrong[row] = whether the ends of lists don't rise from 0 to the number of items. A block a row.
__global__ void check_ends(PointSums problem, uint8_t* wrong) {
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    const auto is_wrong = [&](const Ends& ends, int64_t size, int64_t list) {
      const int64_t begin = ends.at(row, list), end = ends.at(row, list + 1);
      return end < begin || (list == 0 && begin != 0) || (list + 1 == problem.lists && end != size);
    };
    double found = problem.lists == 0 && (problem.points > 0 || problem.values > 0) ? 1 : 0;
    for (int64_t list = threadIdx.x; list < problem.lists; list += blockDim.x) {
      if (is_wrong(problem.point_ends, problem.points, list) ||
          is_wrong(problem.value_ends, problem.values, list)) {
        found = 1;
      }
    }
    found = reduce_in_block(found, Larger());
    if (threadIdx.x == 0) wrong[row] = found > 0;
  }
}

bool has_lists(const PointSums& problem) { return problem.value_ends.data != nullptr; }

template <class Cdf, class Scalar, int kOrder>
void enqueue(const PointSums& problem, const uint8_t* wrong, Launches& launches) {
  const int64_t points = problem.rows * problem.points;
  const int lanes = points < kPointsAMultiprocessor * multiprocessors() ? kWarp : 1;
  const int64_t blocks = (points * lanes + kPointThreads - 1) / kPointThreads;
  const double scale = std::pow(problem.regularization_strength, problem.order);
  launches.add(sum_at_points<Cdf, Scalar, kOrder>, {blocks, kPointThreads}, problem, scale, lanes,
               wrong);
}

template <class Cdf>
bool has_order(int order) {
  return (kHasIntegral<Cdf> ? -1 : 0) <= order && order <= SmoothCdfs::kMaxOrder;
}

template <class Cdf, class Scalar>
void enqueue_order(const PointSums& problem, const uint8_t* wrong, Launches& launches) {
  switch (problem.order) {
    case -1:
      if constexpr (kHasIntegral<Cdf>) enqueue<Cdf, Scalar, -1>(problem, wrong, launches);
      break;
    case 0:
      return enqueue<Cdf, Scalar, 0>(problem, wrong, launches);
    case 1:
      return enqueue<Cdf, Scalar, 1>(problem, wrong, launches);
    case 2:
      return enqueue<Cdf, Scalar, 2>(problem, wrong, launches);
    default:
      return enqueue<Cdf, Scalar, kHigherOrder>(problem, wrong, launches);
  }
}

}  // namespace

size_t soft_count_workspace(const PointSums& problem) {
  return has_lists(problem) ? static_cast<size_t>(problem.rows) : 0;
}

cudaError_t soft_count(const PointSums& problem, std::string_view method, void* workspace,
                       cudaStream_t stream) {
  if (problem.rows == 0 || problem.points == 0 || problem.sets == 0) return cudaSuccess;
  bool is_known = false;
  SmoothCdfs::visit(method, [&](auto cdf) { is_known = has_order<decltype(cdf)>(problem.order); });
  if (!is_known) return cudaErrorInvalidValue;
  Launches launches(stream);
  uint8_t* wrong = nullptr;
  if (has_lists(problem)) {
    wrong = static_cast<uint8_t*>(workspace);
    launches.add(check_ends, {problem.rows, kThreadsOfEnds}, problem, wrong);
  }
  SmoothCdfs::visit(method, [&](auto cdf) {
    if (problem.of_values.storage == Storage::kFloat64) {
      enqueue_order<decltype(cdf), double>(problem, wrong, launches);
    } else {
      enqueue_order<decltype(cdf), float>(problem, wrong, launches);
    }
  });
  return launches.error();
}

}  // namespace rank_relax::cuda
