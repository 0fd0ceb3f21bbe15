#include <algorithm>

#include "cuda/kernel_sum.cuh"
#include "cuda/kernel_sum.h"
#include "cuda/launch.h"
#include "cuda/pairwise.cuh"
#include "cuda/series_tables.h"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kLongestPairwise = 32;       // rows that a warp sums pair by pair
constexpr int64_t kFewestItemsOfLong = 16384;  // rows that several blocks share
constexpr int kLongThreads = 256;
constexpr int64_t kPartItems = 8 * kLongThreads, kMostParts = 1024;
constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;
constexpr int64_t kMostSortingBlocks = 528;  // each has working memory for a row

/// Gives out parts of one piece of memory, each at a multiple of 256 bytes.
class Memory {
 public:
  explicit Memory(void* begin) : begin_(static_cast<char*>(begin)) {}

  template <class T>
  T* take(size_t count) {
    char* const taken = begin_ + used_;
    used_ += (count * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T*>(taken);
  }

  size_t used() const { return used_; }

 private:
  char* begin_;
  size_t used_ = 0;
};

bool is_pairwise(const KernelSum& problem) {
  return problem.size <= kLongestPairwise || problem.order >= kSeriesOrders;
}

bool is_long(const KernelSum& problem) { return problem.size >= kFewestItemsOfLong; }

Parts parts_of(int64_t size) {
  const int64_t count = std::min((size + kPartItems - 1) / kPartItems, kMostParts);
  const int64_t part = (size + count - 1) / count;
  return {(size + part - 1) / part, part};
}

/// The memory of one kernel sum whose rows have series.
template <class Scalar>
struct Workspace {
  uint8_t* sorted;
  int64_t sorting_blocks;
  char* sorting;
  LongRows<Scalar> rows;
  size_t bytes;

  Workspace(const KernelSum& problem, void* begin) {
    Memory memory(begin);
    sorted = memory.take<uint8_t>(problem.rows);
    sorting_blocks = std::min(problem.rows, kMostSortingBlocks);
    sorting = memory.take<char>(sorting_blocks * sorting_bytes(problem));
    if (is_long(problem)) take_long_rows(problem, memory);
    bytes = memory.used();
  }

  static size_t sorting_bytes(const KernelSum& problem) {
    return (SortedRowMemory<Scalar>::bytes(problem.size) + 255) / 256 * 256;
  }

 private:
  void take_long_rows(const KernelSum& problem, Memory& memory) {
    const auto count = static_cast<size_t>(problem.rows), sets = size_t{1} << problem.order;
    rows.parts = parts_of(problem.size);
    rows.most_boxes = most_boxes(precision_of<Scalar>, problem.order, problem.size);
    const size_t boxes = count * rows.most_boxes, numbers = sets * kBoxTerms<Scalar>;
    rows.plans = memory.take<RowPlan>(count);
    rows.statistics = memory.take<RowStatistics>(count * rows.parts.count);
    rows.moments = memory.take<double>(count * rows.parts.count * sets * kSetTerms);
    rows.local = memory.take<Scalar>(count * sets * kSetTerms);
    rows.grid_moments = memory.take<Fixed>(boxes * numbers);
    rows.grid_below = memory.take<Fixed>(boxes + count);
    rows.grid_local = memory.take<Scalar>(boxes * numbers);
  }
};

/// Launches in order, and keeps the first error.
class Launches {
 public:
  explicit Launches(cudaStream_t stream) : stream_(stream) {}

  template <class... Parameters, class... Arguments>
  void add(void (*kernel)(Parameters...), int64_t blocks, int threads, Arguments&&... arguments) {
    if (error_ != cudaSuccess) return;
    error_ = launch(kernel, std::min(blocks, kMostBlocks), threads, stream_,
                    std::forward<Arguments>(arguments)...);
  }

  cudaError_t error() const { return error_; }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

template <class Scalar, int kOrder>
void sum_short_rows(const KernelSum& problem, const SeriesTables* tables,
                    const Workspace<Scalar>& workspace, Launches& launches) {
  if (problem.size <= 256) {
    launches.add(sum_rows<Scalar, kOrder, 32>, problem.rows, 32, problem, tables, workspace.sorted);
  } else {
    const int threads = problem.size <= 2048 ? 128 : kLongThreads;
    launches.add(sum_rows<Scalar, kOrder, kLongThreads>, problem.rows, threads, problem, tables,
                 workspace.sorted);
  }
}

template <class Scalar, int kOrder>
cudaError_t sum_long_rows(const KernelSum& problem, const SeriesTables* tables,
                          const Workspace<Scalar>& workspace, Launches& launches) {
  const LongRows<Scalar>& rows = workspace.rows;
  const int64_t count = problem.rows, blocks = count * rows.parts.count;
  if (blocks > kMostBlocks) return cudaErrorInvalidValue;
  launches.add(find_statistics<Scalar, kOrder>, blocks, kLongThreads, problem, rows);
  launches.add(make_plans<Scalar, kOrder>, count, kLongThreads, problem, rows, tables,
               workspace.sorted);
  launches.add(clear_grids<Scalar, kOrder>, blocks, kLongThreads, rows);
  launches.add(add_moments<Scalar, kOrder, kLongThreads>, blocks, kLongThreads, problem, rows,
               tables);
  launches.add(gather<Scalar, kOrder>, count, kMostThreads, rows, tables);
  launches.add(translate_grids<Scalar, kOrder>, blocks, kLongThreads, problem, rows, tables);
  launches.add(evaluate_parts<Scalar, kOrder, kLongThreads>, blocks, kLongThreads, problem, rows,
               tables);
  return cudaSuccess;
}

template <class Cdf, class Scalar, int kOrder>
cudaError_t sum_in_series(const KernelSum& problem, void* memory, cudaStream_t stream) {
  cudaError_t error = cudaSuccess;
  const SeriesTables* tables = series_tables<Cdf>(precision_of<Scalar>, kOrder, error);
  if (tables == nullptr) return error;
  const Workspace<Scalar> workspace(problem, memory);
  Launches launches(stream);
  if (is_long(problem)) {
    error = sum_long_rows<Scalar, kOrder>(problem, tables, workspace, launches);
  } else {
    sum_short_rows<Scalar, kOrder>(problem, tables, workspace, launches);
  }
  if (error != cudaSuccess) return error;
  const int threads = problem.size <= 256 ? 64 : (problem.size <= 4096 ? 128 : kMostSortingThreads);
  launches.add(sum_sorted<Cdf, Scalar>, workspace.sorting_blocks, threads, problem, tables,
               workspace.sorted, workspace.sorting, Workspace<Scalar>::sorting_bytes(problem));
  return launches.error();
}

template <class Cdf, class Scalar>
cudaError_t sum_rows_of(const KernelSum& problem, void* workspace, cudaStream_t stream) {
  if (is_pairwise(problem)) {
    const int threads = problem.size <= kWarp ? kWarp : 128;
    const int64_t tiles = (problem.size + threads - 1) / threads;
    Launches launches(stream);
    launches.add(sum_pairwise<Cdf, Scalar>, problem.rows * tiles, threads, problem, tiles);
    return launches.error();
  }
  switch (problem.order) {
    case 0:
      return sum_in_series<Cdf, Scalar, 0>(problem, workspace, stream);
    case 1:
      return sum_in_series<Cdf, Scalar, 1>(problem, workspace, stream);
    default:
      return sum_in_series<Cdf, Scalar, 2>(problem, workspace, stream);
  }
}

}  // namespace

size_t kernel_sum_workspace(const KernelSum& problem) {
  if (problem.rows == 0 || problem.size == 0 || is_pairwise(problem)) return 0;
  return problem.input.storage == Storage::kFloat64 ? Workspace<double>(problem, nullptr).bytes
                                                    : Workspace<float>(problem, nullptr).bytes;
}

cudaError_t kernel_sum(const KernelSum& problem, std::string_view method, void* workspace,
                       cudaStream_t stream) {
  cudaError_t error = cudaErrorInvalidValue;
  if (problem.rows == 0 || problem.size == 0) return cudaSuccess;
  if (problem.size > kLongestRow) return error;
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    error = problem.input.storage == Storage::kFloat64
                ? sum_rows_of<Cdf, double>(problem, workspace, stream)
                : sum_rows_of<Cdf, float>(problem, workspace, stream);
  });
  return error;
}

}  // namespace rank_relax::cuda
