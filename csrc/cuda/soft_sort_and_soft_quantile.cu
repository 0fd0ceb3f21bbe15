#include <algorithm>
#include <utility>

#include "cuda/inverse/quantile_long.cuh"
#include "cuda/inverse/quantile_short.cuh"
#include "cuda/launch/launch.h"
#include "cuda/series/series_tables.h"
#include "cuda/soft_sort_and_soft_quantile.h"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kMostBlocks = (int64_t{1} << 31) - 1;
constexpr int64_t kMostSortingBlocks = 264;  // each has working memory for a row
constexpr int kThreads = 256;
constexpr int64_t kPartItems = 8 * kThreads, kPartPlaces = 2 * kThreads, kMostParts = 1024;
constexpr int kFewItems = 64;  // that a block of few threads has memory for

bool is_short(const Quantile& problem) { return problem.source.size <= kLongestShort; }

constexpr size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

/// The memory of as many long rows as are worked on at a time.
struct Workspace {
  LongQuantileRows rows;
  int64_t count;
  char* sorting;
  size_t bytes_a_sort;
  int64_t sorting_blocks;
  size_t bytes = 0;

  Workspace(const Quantile& problem, void* begin)
      : rows{QuantileParts(problem.source.size, kPartItems, kMostParts),
             QuantileParts(problem.places(), kPartPlaces, kMostParts),
             nullptr,
             nullptr,
             nullptr,
             0,
             most_quantile_boxes(problem.source.size)} {
    const auto take = [&](size_t wanted) {
      char* const taken = static_cast<char*>(begin) + bytes;
      bytes += aligned(wanted);
      return taken;
    };
    const int64_t size = problem.source.size;
    rows.bytes_a_row = aligned(
        std::max(QuantileGridMemory::bytes(rows.most_boxes), SortedQuantileMemory::bytes(size)));
    const auto at_a_time = static_cast<int64_t>(problem.most_bytes / rows.bytes_a_row);
    count = std::min(problem.source.rows, std::max<int64_t>(at_a_time, 1));
    bytes_a_sort = aligned(problem.source.input.storage == Storage::kFloat64
                               ? SortedRowMemory<double>::bytes(size)
                               : SortedRowMemory<float>::bytes(size));
    sorting_blocks = std::min(count, kMostSortingBlocks);
    rows.plans = reinterpret_cast<QuantilePlan*>(take(count * sizeof(QuantilePlan)));
    rows.statistics =
        reinterpret_cast<RowStatistics*>(take(count * rows.items.count * sizeof(RowStatistics)));
    rows.memory = take(count * rows.bytes_a_row);
    sorting = take(sorting_blocks * bytes_a_sort);
  }
};

size_t bytes_of(Storage storage) {
  switch (storage) {
    case Storage::kFloat64:
      return 8;
    case Storage::kFloat32:
      return 4;
    case Storage::kByte:
      return 1;
    default:
      return 2;
  }
}

Items items_from(Items items, int64_t row) {
  if (items.data == nullptr) return items;
  const int64_t bytes = row * items.row_stride * static_cast<int64_t>(bytes_of(items.storage));
  items.data = static_cast<const char*>(items.data) + bytes;
  return items;
}

/// The problem of rows [first, first + count).
Quantile rows_from(Quantile problem, int64_t first, int64_t count) {
  problem.source.rows = count;
  problem.source.input = items_from(problem.source.input, first);
  problem.source.mask = items_from(problem.source.mask, first);
  problem.levels = items_from(problem.levels, first);
  const auto places = static_cast<size_t>(first * problem.places());
  if (problem.values.data != nullptr) {
    problem.values.data =
        static_cast<char*>(problem.values.data) + places * bytes_of(problem.values.storage);
  }
  if (problem.points != nullptr) problem.points += places;
  if (problem.densities != nullptr) problem.densities += places;
  return problem;
}

/// Launches in order, and keeps the first error.
class Queue {
 public:
  explicit Queue(cudaStream_t stream) : stream_(stream) {}

  template <class... Parameters, class... Arguments>
  void add(void (*kernel)(Parameters...), int64_t blocks, int threads, Arguments&&... arguments) {
    if (error_ != cudaSuccess) return;
    error_ = launch(kernel, {blocks, threads}, stream_, std::forward<Arguments>(arguments)...);
  }

  cudaError_t error() const { return error_; }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

template <class Cdf>
void enqueue_short_rows(const Quantile& problem, Queue& queue) {
  const int64_t size = problem.source.size, places = problem.places();
  const int threads = size <= kWarp ? kWarp : (size <= kThreads ? kThreads / 2 : kThreads);
  const int64_t levels = threads / kWarp * kLevelsOfAWarp;  // of a block
  const int64_t slices = (places + levels - 1) / levels;
  const int64_t blocks = std::min(problem.source.rows * slices, kMostBlocks);
  if (size <= kFewItems) {
    queue.add(solve_short_rows<Cdf, kFewItems>, blocks, threads, problem, slices);
  } else {
    queue.add(solve_short_rows<Cdf, kLongestShort>, blocks, threads, problem, slices);
  }
}

template <class Cdf>
void enqueue_long_rows(const Quantile& problem, const QuantileTables* tables,
                       const Workspace& workspace, Queue& queue) {
  const LongQuantileRows& rows = workspace.rows;
  const KernelSum& source = problem.source;
  const int64_t count = source.rows;
  const int64_t parts = count * rows.items.count;
  queue.add(count_quantile_items, parts, kThreads, source, rows);
  queue.add(plan_quantiles, count, kThreads, source, rows, tables);
  queue.add(clear_quantile_grids, parts, kThreads, rows);
  queue.add(count_quantile_boxes, parts, kThreads, source, rows);
  queue.add(scan_quantile_boxes, count, kThreads, rows);
  queue.add(add_quantile_box_moments, parts, kThreads, source, rows);
  queue.add(find_quantile_polynomials, parts, kThreads, rows, tables);
  const auto sort = source.input.storage == Storage::kFloat64 ? sort_quantile_rows<double>
                                                              : sort_quantile_rows<float>;
  queue.add(sort, std::min(count, workspace.sorting_blocks), kMostSortingThreads, source, rows,
            tables, workspace.sorting, workspace.bytes_a_sort);
  queue.add(solve_long_rows<Cdf>, count * rows.places.count, kThreads, problem, rows, tables);
  if (!problem.sorts()) {
    queue.add(balance_wide_gaps<Cdf>, std::min(count * problem.level_count, kMostBlocks), kThreads,
              problem, rows, tables);
  }
}

template <class Cdf>
cudaError_t quantile_of(const Quantile& problem, void* memory, cudaStream_t stream) {
  Queue queue(stream);
  if (is_short(problem)) {
    enqueue_short_rows<Cdf>(problem, queue);
    return queue.error();
  }
  cudaError_t error = cudaSuccess;
  const QuantileTables* tables = quantile_tables(Cdf::name, error);
  if (tables == nullptr) return error;
  const Workspace workspace(problem, memory);
  const int64_t rows = problem.source.rows;
  for (int64_t first = 0; first < rows; first += workspace.count) {
    const int64_t count = std::min(workspace.count, rows - first);
    enqueue_long_rows<Cdf>(rows_from(problem, first, count), tables, workspace, queue);
  }
  return queue.error();
}

}  // namespace

size_t quantile_workspace(const Quantile& problem) {
  if (problem.source.rows == 0 || problem.places() == 0 || is_short(problem)) return 0;
  return Workspace(problem, nullptr).bytes;
}

cudaError_t quantile(const Quantile& problem, std::string_view method, void* workspace,
                     cudaStream_t stream) {
  cudaError_t error = cudaErrorInvalidValue;
  if (problem.source.rows == 0 || problem.places() == 0) return cudaSuccess;
  if (problem.source.size > kLongestRow) return error;
  SmoothCdfs::visit(
      method, [&](auto cdf) { error = quantile_of<decltype(cdf)>(problem, workspace, stream); });
  return error;
}

}  // namespace rank_relax::cuda
