#include <algorithm>

#include "core/cdf/smooth_cdfs.h"
#include "cuda/inverse/soft_topk_long.cuh"
#include "cuda/inverse/soft_topk_product.cuh"
#include "cuda/inverse/soft_topk_row.cuh"
#include "cuda/launch/device_memory.h"
#include "cuda/launch/launch.h"
#include "cuda/soft_rank.h"
#include "cuda/soft_topk.h"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kLongestOfABlock = 8192, kItemsOfAThread = 8;
constexpr int kThreads = 256;
constexpr int64_t kPartItems = 8 * kThreads, kMostParts = 1024;

// Of a search among long rows, which ends earlier but for rare rows.
constexpr int kStepsInSingle = 10, kStepsInDouble = 8;

QuantileParts parts_of(int64_t size) { return {size, kPartItems, kMostParts}; }

/// A whole number of warps, so that a thread has some items.
int threads_of(int64_t size) {
  const int64_t warps = (size + kItemsOfAThread * kWarp - 1) / (kItemsOfAThread * kWarp);
  return static_cast<int>(std::min<int64_t>(warps * kWarp, kMostTopKThreads));
}

int64_t blocks_of_warps(int64_t rows, int rows_a_block) {
  return (rows + rows_a_block - 1) / rows_a_block;
}

/// Whether a block has the memory for a row.
template <class Scalar>
bool fits_in_a_block(int64_t size) {
  return size <= kLongestOfABlock &&
         size * static_cast<int64_t>(sizeof(Scalar)) + kStaticShared <= most_shared_memory();
}

template <class Cdf, class Scalar>
LongTopKRows<Cdf, Scalar> long_rows(const SoftTopK& problem, DeviceMemory& memory) {
  using Search = TopKSearch<Cdf, Scalar>;
  LongTopKRows<Cdf, Scalar> rows(parts_of(problem.size));
  const int64_t count = problem.rows, parts = count * rows.parts.count;
  rows.statistics = memory.take<RowStatistics>(parts);
  rows.counts = memory.take<TopKCounts>(count);
  rows.digit_counts = memory.take<uint32_t>(count * kKeyDigits<Scalar> * kDigits);
  rows.prefixes = memory.take<KeyPrefix<Scalar>>(count * kKeyDigits<Scalar>);
  rows.next = memory.take<double>(parts);
  rows.searches = memory.take<Search>(count * 2);
  rows.sums = memory.take<double>(parts * 2 * Search::kSums);
  rows.thresholds = memory.take<TopKThreshold>(count);
  return rows;
}

template <class Cdf, class Scalar>
void enqueue_long_rows(const SoftTopK& problem, void* workspace, Launches& launches) {
  DeviceMemory memory(workspace);
  const LongTopKRows<Cdf, Scalar> rows = long_rows<Cdf, Scalar>(problem, memory);
  const Shape parts = {problem.rows * rows.parts.count, kThreads};
  const Shape whole = {problem.rows, kThreads};
  constexpr int kSteps = sizeof(Scalar) == 4 ? kStepsInSingle : kStepsInDouble;
  launches.add(count_topk_items<Scalar>, parts, problem, rows);
  launches.add(plan_topk<Scalar>, whole, problem, rows);
  for (int digit = 0; digit < kKeyDigits<Scalar>; ++digit) {
    launches.add(count_topk_digits<Scalar>, parts, problem, rows, digit);
  }
  launches.add(find_next_topk_item<Scalar>, parts, problem, rows);
  for (int step = 0; step < kSteps; ++step) {
    launches.add(take_topk_step<Cdf, Scalar>, parts, problem, rows, step);
  }
  launches.add(end_topk_search<Cdf, Scalar>, whole, problem, rows, kSteps);
  launches.add(write_long_topk<Cdf, Scalar>, parts, problem, rows);
}

template <class Cdf, class Scalar>
void enqueue(const SoftTopK& problem, void* workspace, Launches& launches) {
  if (problem.size <= kLongestTopKOfAWarp) {
    launches.add(choose_by_warps<Cdf, Scalar>,
                 {blocks_of_warps(problem.rows, kTopKRowsABlock), kTopKRowsABlock * kWarp},
                 problem);
  } else if (fits_in_a_block<Scalar>(problem.size)) {
    const auto bytes = problem.size * static_cast<int64_t>(sizeof(Scalar));
    launches.add(choose_by_blocks<Cdf, Scalar>, {problem.rows, threads_of(problem.size), bytes},
                 problem);
  } else {
    enqueue_long_rows<Cdf, Scalar>(problem, workspace, launches);
  }
}

bool is_in_double(const SoftTopK& problem) { return problem.input.storage == Storage::kFloat64; }

}  // namespace

size_t soft_topk_workspace(const SoftTopK& problem) {
  if (problem.size <= kLongestTopKOfAWarp) return 0;
  DeviceMemory memory(nullptr);
  // The sizes are the same for every CDF.
  if (is_in_double(problem)) {
    if (!fits_in_a_block<double>(problem.size)) long_rows<Sigmoid, double>(problem, memory);
  } else if (!fits_in_a_block<float>(problem.size)) {
    long_rows<Sigmoid, float>(problem, memory);
  }
  return memory.used();
}

cudaError_t soft_topk(const SoftTopK& problem, std::string_view method, void* workspace,
                      cudaStream_t stream) {
  if (problem.rows == 0 || problem.size == 0) return cudaSuccess;
  if (problem.size > kLongestRow) return cudaErrorInvalidValue;
  Launches launches(stream);
  const bool is_known = SmoothCdfs::visit(method, [&](auto cdf) {
    if (is_in_double(problem)) {
      enqueue<decltype(cdf), double>(problem, workspace, launches);
    } else {
      enqueue<decltype(cdf), float>(problem, workspace, launches);
    }
  });
  return is_known ? launches.error() : cudaErrorInvalidValue;
}

size_t soft_topk_product_workspace(const SoftTopKProduct& problem) {
  if (problem.size <= kLongestOfABlock) return 0;
  return static_cast<size_t>(problem.rows * parts_of(problem.size).count * 2) * sizeof(double);
}

cudaError_t soft_topk_product(const SoftTopKProduct& problem, void* workspace,
                              cudaStream_t stream) {
  if (problem.rows == 0 || problem.size == 0) return cudaSuccess;
  Launches launches(stream);
  if (problem.size <= kLongestTopKOfAWarp) {
    launches.add(multiply_by_warps,
                 {blocks_of_warps(problem.rows, kTopKProductsABlock), kTopKProductsABlock * kWarp},
                 problem);
  } else if (problem.size <= kLongestOfABlock) {
    launches.add(multiply_by_blocks, {problem.rows, threads_of(problem.size)}, problem);
  } else {
    const QuantileParts parts = parts_of(problem.size);
    const Shape shape = {problem.rows * parts.count, kThreads};
    auto* const of_parts = static_cast<double*>(workspace);
    launches.add(sum_parts_of_products, shape, problem, parts, of_parts);
    launches.add(multiply_parts, shape, problem, parts, of_parts);
  }
  return launches.error();
}

}  // namespace rank_relax::cuda
