#include <algorithm>
#include <utility>

#include "cuda/inverse/quantile_gridless.cuh"
#include "cuda/inverse/quantile_long.cuh"
#include "cuda/inverse/quantile_scan.cuh"
#include "cuda/inverse/quantile_short.cuh"
#include "cuda/launch/device_memory.h"
#include "cuda/launch/launch.h"
#include "cuda/series/series_tables.h"
#include "cuda/soft_rank.h"
#include "cuda/soft_sort_and_soft_quantile.h"

namespace rank_relax::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kPartItems = 8 * kThreads, kPartPlaces = 2 * kThreads, kMostParts = 1024;
constexpr int64_t kPlacesOfWarps = kThreads / kWarp;
constexpr int kFewItems = 64;  // that a block of few threads has memory for

bool is_short(const Quantile& problem) { return problem.size <= kLongestShort; }

/// How many warps of a block sort a row by scans; 0 if it is sorted another way, which rows are
/// that the block has no memory for.
template <class Cdf>
int scanning_warps(const Quantile& problem) {
  int64_t warps = 0;
  if constexpr (kSortsByScans<Cdf>) {
    using Memory = ScannedSortMemory<Cdf>;
    if (!problem.sorts() || problem.size > kLongestScannedSort) return 0;
    warps = std::min<int64_t>(Memory::tiles_of(problem.size), kMostScanningWarps);
    const int64_t most = most_shared_memory() - kStaticShared;
    while (warps > 0 && Memory::bytes(problem.size, warps) > most) --warps;
  }
  return static_cast<int>(warps);
}

int64_t rows_at_a_time(const Quantile& problem, size_t bytes_a_row) {
  const auto at_a_time = static_cast<int64_t>(problem.most_bytes / bytes_a_row);
  return std::min(problem.rows, std::max<int64_t>(at_a_time, 1));
}

/// The memory of as many long rows as are worked on at a time.
struct Workspace {
  LongQuantileRows rows;
  int64_t count;
  size_t bytes = 0;

  Workspace(const Quantile& problem, void* begin)
      : rows{QuantileParts(problem.size, kPartItems, kMostParts),
             QuantileParts(problem.places(), kPartPlaces, kMostParts),
             nullptr,
             nullptr,
             nullptr,
             0,
             most_quantile_boxes(problem.size)} {
    const int64_t size = problem.size;
    rows.bytes_a_row = aligned(
        std::max(QuantileGridMemory::bytes(rows.most_boxes), SortedQuantileMemory::bytes(size)));
    count = rows_at_a_time(problem, rows.bytes_a_row);
    DeviceMemory memory(begin);
    rows.plans = memory.take<QuantilePlan>(count);
    rows.statistics = memory.take<RowStatistics>(count * rows.items.count);
    rows.memory = memory.take<char>(count * rows.bytes_a_row);
    bytes = memory.used();
  }
};

/// The same for a CDF that has no grid.
struct GridlessWorkspace {
  GridlessRows rows;
  int64_t count;
  size_t bytes = 0;

  template <class Cdf>
  GridlessWorkspace(Cdf, const Quantile& problem, void* begin)
      : rows{QuantileParts(problem.places(), kIsExponential<Cdf> ? kPartPlaces : kPlacesOfWarps,
                           kMostParts),
             problem.size, nullptr, nullptr, aligned(GridlessMemory<Cdf>::bytes(problem.size))} {
    count = rows_at_a_time(problem, rows.bytes_a_row);
    DeviceMemory memory(begin);
    rows.found = memory.take<RowStatistics>(count);
    rows.memory = memory.take<char>(count * rows.bytes_a_row);
    bytes = memory.used();
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

bool in_double(const RowBatch& source) { return source.input.storage == Storage::kFloat64; }

/// How long rows are cut into tiles, and all blocks, with the shared memory for one tile.
struct SortOfLongRows {
  Tiles tiles;
  Shape shape;

  explicit SortOfLongRows(const RowBatch& source) {
    const int64_t most = most_shared_memory() - kStaticShared;
    tiles = in_double(source) ? tiles_in<SortKey<double>>(source.size, most)
                              : tiles_in<SortKey<float>>(source.size, most);
    const int64_t shared = in_double(source) ? bytes_of_tile<SortKey<double>>(tiles.size)
                                             : bytes_of_tile<SortKey<float>>(tiles.size);
    shape = {kBlocksTogether * multiprocessors(), kMostSortingThreads, shared, /*together=*/true};
  }
};

/// The problem of rows [first, first + count).
Quantile rows_from(Quantile problem, int64_t first, int64_t count) {
  problem.rows = count;
  problem.input = items_from(problem.input, first);
  problem.mask = items_from(problem.mask, first);
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

template <class Cdf>
void enqueue_scans(const Quantile& problem, int warps, Launches& launches) {
  if constexpr (kSortsByScans<Cdf>) {
    const Shape shape = {problem.rows, warps * kWarp,
                         ScannedSortMemory<Cdf>::bytes(problem.size, warps)};
    launches.add(in_double(problem) ? sort_by_scans<Cdf, double> : sort_by_scans<Cdf, float>, shape,
                 problem, TailTerms<Cdf>());
  }
}

template <class Cdf>
void enqueue_short_rows(const Quantile& problem, Launches& launches) {
  const int64_t size = problem.size, places = problem.places();
  const int threads = size <= kWarp ? kWarp : (size <= kThreads ? kThreads / 2 : kThreads);
  const int64_t levels = threads / kWarp * kLevelsOfAWarp;  // of a block
  const int64_t slices = (places + levels - 1) / levels;
  const int64_t blocks = std::min(problem.rows * slices, kMostBlocksOfAGrid);
  if (size <= kFewItems) {
    launches.add(solve_short_rows<Cdf, kFewItems>, {blocks, threads}, problem, slices);
  } else {
    launches.add(solve_short_rows<Cdf, kLongestShort>, {blocks, threads}, problem, slices);
  }
}

template <class Cdf>
void enqueue_long_rows(const Quantile& problem, const QuantileTables* tables,
                       const Workspace& workspace, Launches& launches) {
  const LongQuantileRows& rows = workspace.rows;
  const RowBatch& source = problem;
  const int64_t count = source.rows;
  const int64_t parts = count * rows.items.count;
  const int64_t most = most_shared_memory() - kStaticShared;
  const int64_t counts = bytes_of_boxes(source.size, 1, most);
  const int64_t moments = bytes_of_boxes(source.size, BoxesOfABlock::kMost, most);
  launches.add(count_quantile_items, {parts, kThreads}, source, rows);
  launches.add(plan_quantiles, {count, kThreads}, source, rows, tables);
  launches.add(clear_quantile_grids, {parts, kThreads}, rows);
  launches.add(count_quantile_boxes, {parts, kThreads, counts}, source, rows, counts);
  launches.add(scan_quantile_boxes, {count, kThreads}, rows);
  launches.add(add_quantile_box_moments, {parts, kThreads, moments}, source, rows, moments);
  launches.add(find_quantile_polynomials, {parts, kThreads}, rows, tables);
  const SortOfLongRows sort(source);
  launches.add(in_double(source) ? sort_quantile_rows<double> : sort_quantile_rows<float>,
               sort.shape, source, rows, tables, sort.tiles, parts_together(source.size));
  launches.add(solve_long_rows<Cdf>, {count * rows.places.count, kThreads}, problem, rows, tables);
  if (!problem.sorts()) {
    launches.add(balance_wide_gaps<Cdf>,
                 {std::min(count * problem.level_count, kMostBlocksOfAGrid), kThreads}, problem,
                 rows, tables);
  }
}

template <class Cdf>
void enqueue_gridless_rows(const Quantile& problem, const GridlessWorkspace& workspace,
                           Launches& launches) {
  const RowBatch& source = problem;
  const SortOfLongRows sort(source);
  launches.add(in_double(source) ? sort_gridless_rows<Cdf, double> : sort_gridless_rows<Cdf, float>,
               sort.shape, source, workspace.rows, sort.tiles);
  launches.add(solve_gridless_rows<Cdf>, {source.rows * workspace.rows.places.count, kThreads},
               problem, workspace.rows);
}

/// enqueue(rows) for as many rows at a time as there is memory for.
template <class Enqueue>
void for_rows_at_a_time(const Quantile& problem, int64_t at_a_time, const Enqueue& enqueue) {
  for (int64_t first = 0; first < problem.rows; first += at_a_time) {
    enqueue(rows_from(problem, first, std::min(at_a_time, problem.rows - first)));
  }
}

template <class Cdf>
cudaError_t quantile_of(const Quantile& problem, void* memory, cudaStream_t stream) {
  Launches launches(stream);
  if (const int warps = scanning_warps<Cdf>(problem); warps > 0) {
    enqueue_scans<Cdf>(problem, warps, launches);
    return launches.error();
  }
  if (is_short(problem)) {
    enqueue_short_rows<Cdf>(problem, launches);
    return launches.error();
  }
  if constexpr (kHasGrid<Cdf>) {
    cudaError_t error = cudaSuccess;
    const QuantileTables* tables = quantile_tables(Cdf::name, error);
    if (tables == nullptr) return error;
    const Workspace workspace(problem, memory);
    for_rows_at_a_time(problem, workspace.count, [&](const Quantile& rows) {
      enqueue_long_rows<Cdf>(rows, tables, workspace, launches);
    });
  } else {
    const GridlessWorkspace workspace(Cdf(), problem, memory);
    for_rows_at_a_time(problem, workspace.count, [&](const Quantile& rows) {
      enqueue_gridless_rows<Cdf>(rows, workspace, launches);
    });
  }
  return launches.error();
}

}  // namespace

int64_t longest_quantile_row(const Quantile& problem, std::string_view method) {
  return problem.sorts() ? longest_row(method) : kLongestRow;
}

size_t quantile_workspace(const Quantile& problem, std::string_view method) {
  if (problem.rows == 0 || problem.places() == 0 || is_short(problem)) return 0;
  size_t bytes = 0;
  SmoothCdfs::visit(method, [&](auto cdf) {
    if (scanning_warps<decltype(cdf)>(problem) > 0) return;
    if constexpr (kHasGrid<decltype(cdf)>)
      bytes = Workspace(problem, nullptr).bytes;
    else
      bytes = GridlessWorkspace(cdf, problem, nullptr).bytes;
  });
  return bytes;
}

cudaError_t quantile(const Quantile& problem, std::string_view method, void* workspace,
                     cudaStream_t stream) {
  cudaError_t error = cudaErrorInvalidValue;
  if (problem.rows == 0 || problem.places() == 0) return cudaSuccess;
  if (problem.size > longest_quantile_row(problem, method)) return error;
  SmoothCdfs::visit(
      method, [&](auto cdf) { error = quantile_of<decltype(cdf)>(problem, workspace, stream); });
  return error;
}

}  // namespace rank_relax::cuda
