#include <algorithm>

#include "cuda/launch/device_memory.h"
#include "cuda/launch/launch.h"
#include "cuda/series/series_tables.h"
#include "cuda/soft_rank.h"
#include "cuda/sum/exponential_scan.cuh"
#include "cuda/sum/kernel_sum.cuh"
#include "cuda/sum/pairwise.cuh"
#include "cuda/sum/register_row.h"

namespace rank_relax::cuda {
namespace {

constexpr int64_t kLongestPairwise = 32;       // rows that a warp sums pair by pair
constexpr int64_t kFewestItemsOfLong = 16384;  // rows that several blocks share
constexpr int kLongThreads = 256;
constexpr int64_t kPartItems = 8 * kLongThreads, kMostParts = 1024;
constexpr int kRowsInMemory = 1;   // sorted at a time for each multiprocessor, in working memory
constexpr int kRowsInShared = 16;  // and by blocks that have a row in shared memory
constexpr int64_t kMostSortedInShared = 96 << 10;  // bytes: two blocks a multiprocessor, or more
// Rows on a grid in shared memory. In shorter or sparser ones a sort and pairs cost less.
constexpr int64_t kFewestItemsOfSharedGrid = 1024;
constexpr int64_t kFewestItemsABoxInShared = 2;
constexpr int kLongBlocksTogether = 3;  // that share a multiprocessor's shared memory

bool is_pairwise(const KernelSum& problem) {
  return problem.size <= kLongestPairwise || problem.order >= kSeriesOrders;
}

bool is_long(const KernelSum& problem) { return problem.size >= kFewestItemsOfLong; }

Parts parts_of(int64_t size) {
  const int64_t count = std::min((size + kPartItems - 1) / kPartItems, kMostParts);
  const int64_t part = (size + count - 1) / count;
  return {(size + part - 1) / part, part};
}

/// What memory the rows of a CDF are summed in, besides that of one box.
struct Needs {
  bool series, grid, sort;
};

template <class Cdf>
constexpr Needs needs_of() {
  return {!kIsExponential<Cdf>, kHasGrid<Cdf>, kIsExponential<Cdf> || kHasGrid<Cdf>};
}

/// Bytes in which a block sorts a row and sums it.
template <class Scalar>
int64_t bytes_of_sort(const KernelSum& problem, const Needs& needs) {
  return needs.series ? SortedSumMemory<Scalar>::bytes(problem.size, problem.order)
                      : ScannedRow<Scalar>::bytes(problem.size, problem.order);
}

/// Where short rows are summed that have no room in one box, and what long ones are too wide for.
template <class Scalar>
struct WideRows {
  int64_t boxes_in_shared;  // most boxes of a row's grid in shared memory; 0: there is none
  int64_t sorting_shared;   // bytes of a block that sorts a row there; 0: the row does not fit
  int sorting_threads;

  WideRows(const KernelSum& problem, const Needs& needs) {
    const int64_t most = most_shared_memory() - kStaticShared;
    sorting_threads = problem.size <= 128 ? 64 : (problem.size <= 512 ? 128 : 256);
    if (problem.size > 2048) sorting_threads = kMostSummingThreads;
    sorting_shared = bytes_of_warps<Scalar>(sorting_threads, problem.order) +
                     bytes_of_sort<Scalar>(problem, needs);
    if (sorting_shared > std::min(most, kMostSortedInShared)) sorting_shared = 0;
    boxes_in_shared = 0;
    if (!needs.grid || problem.size < kFewestItemsOfSharedGrid || is_long(problem)) return;
    boxes_in_shared = std::min({problem.size / kFewestItemsABoxInShared, kMostBoxesInShared<Scalar>,
                                most / GridInShared<Scalar>::bytes_a_box(problem.order)});
  }
};

/// The memory of one kernel sum whose rows are not summed pair by pair.
template <class Scalar>
struct Workspace {
  uint8_t* forms;
  WideRows<Scalar> wide;
  RowPlan* plans = nullptr;  // of rows that are long, or not sorted by one block
  int64_t rows_at_a_time;
  char* sorting;
  size_t bytes_a_sort;
  TogetherMemory together{};
  LongRows<Scalar> rows;
  size_t bytes;

  Workspace(const KernelSum& problem, const Needs& needs, void* begin)
      : wide(problem, needs), bytes_a_sort(aligned(bytes_of_sort<Scalar>(problem, needs))) {
    DeviceMemory memory(begin);
    forms = memory.take<uint8_t>(problem.rows);
    const bool in_shared = wide.sorting_shared > 0;
    rows_at_a_time =
        std::min(problem.rows, multiprocessors() * (in_shared ? kRowsInShared : kRowsInMemory));
    const bool sorts_in_memory = needs.sort && !in_shared;
    if (needs.series && (sorts_in_memory || is_long(problem))) {
      plans = memory.take<RowPlan>(problem.rows);
    }
    // The rows that are sorted are summed last, when nothing else is needed any more.
    DeviceMemory before_sorting = memory;
    if (sorts_in_memory && needs.series) {
      rows_at_a_time = std::min<int64_t>(rows_at_a_time, kMostRowsTogether);
      together.of_rows = memory.take<RowTogether>(rows_at_a_time);
    }
    sorting = memory.take<char>(sorts_in_memory ? rows_at_a_time * bytes_a_sort : 0);
    const Tiles tiles =
        tiles_in<SortKey<Scalar>>(problem.size, most_shared_memory() - kStaticShared);
    together = {rows_at_a_time,
                parts_together(problem.size),
                tiles,
                plans,
                is_long(problem),
                together.of_rows,
                sorting,
                bytes_a_sort};
    if (needs.series && is_long(problem)) take_long_rows(problem, needs, before_sorting);
    bytes = std::max(memory.used(), before_sorting.used());
  }

 private:
  void take_long_rows(const KernelSum& problem, const Needs& needs, DeviceMemory& memory) {
    const auto count = static_cast<size_t>(problem.rows), sets = size_t{1} << problem.order;
    rows.parts = parts_of(problem.size);
    rows.most_boxes =
        needs.grid ? most_boxes(precision_of<Scalar>, problem.order, problem.size) : 0;
    const int64_t besides = (2 << 10) + (kLongThreads / kWarp * kSetTerms * 8 << problem.order);
    rows.shared = std::clamp<int64_t>(most_shared_memory() / kLongBlocksTogether - besides, 0,
                                      rows.most_boxes * GridInShared<Scalar>::kBytesOfSet);
    const size_t boxes = count * rows.most_boxes, numbers = sets * kBoxTerms<Scalar>;
    rows.plans = plans;
    rows.statistics = memory.take<RowStatistics>(count * rows.parts.count);
    rows.moments = memory.take<double>(count * rows.parts.count * sets * kSetTerms);
    rows.local = memory.take<Scalar>(count * sets * kSetTerms);
    rows.grid_moments = memory.take<Fixed>(boxes * numbers);
    rows.grid_below = memory.take<Fixed>(boxes + count);
    rows.grid_local = memory.take<Scalar>(boxes * numbers);
  }
};

template <class Scalar, int kOrder>
void sum_short_rows(const KernelSum& problem, const SeriesTables* tables,
                    const Workspace<Scalar>& workspace, Launches& launches) {
  const int64_t boxes = workspace.wide.boxes_in_shared;
  if (problem.size <= 256) {
    launches.add(sum_rows<Scalar, kOrder, 32>, {problem.rows, 32}, problem, tables, boxes,
                 workspace.forms);
  } else {
    const int threads = problem.size <= 2048 ? 128 : kLongThreads;
    launches.add(sum_rows<Scalar, kOrder, kLongThreads>, {problem.rows, threads}, problem, tables,
                 boxes, workspace.forms);
  }
  if (boxes == 0) return;
  launches.add(sum_on_grids<Scalar, kOrder>,
               {std::min(problem.rows, kRowsInShared * multiprocessors()), kGridThreads,
                boxes * GridInShared<Scalar>::bytes_a_box(kOrder)},
               problem, tables, boxes, workspace.forms);
}

template <class Scalar, int kOrder>
cudaError_t sum_long_rows(const KernelSum& problem, const SeriesTables* tables,
                          const Workspace<Scalar>& workspace, Launches& launches) {
  const LongRows<Scalar>& rows = workspace.rows;
  const int64_t count = problem.rows, blocks = count * rows.parts.count;
  if (blocks > kMostBlocksOfAGrid) return cudaErrorInvalidValue;
  launches.add(find_statistics<Scalar, kOrder>, {blocks, kLongThreads}, problem, rows);
  launches.add(make_plans<Scalar, kOrder>, {count, kLongThreads}, problem, rows, tables,
               workspace.forms);
  launches.add(clear_grids<Scalar, kOrder>, {blocks, kLongThreads}, rows);
  launches.add(add_moments<Scalar, kOrder, kLongThreads>, {blocks, kLongThreads, rows.shared},
               problem, rows);
  launches.add(gather<Scalar, kOrder>, {count, kMostThreads}, rows, tables);
  launches.add(translate_grids<Scalar, kOrder>, {blocks, kLongThreads}, problem, rows, tables);
  launches.add(evaluate_parts<Scalar, kOrder, kLongThreads>, {blocks, kLongThreads}, problem, rows);
  return cudaSuccess;
}

/// All blocks, with shared memory for a tile and for warps.
template <class Scalar>
Shape shape_together(const KernelSum& problem, const TogetherMemory& together) {
  const int64_t shared = std::max(bytes_of_warps<Scalar>(kMostSummingThreads, problem.order),
                                  bytes_of_tile<SortKey<Scalar>>(together.tiles.size));
  return {kBlocksTogether * multiprocessors(), kMostSummingThreads, shared, /*together=*/true};
}

template <class Cdf, class Scalar>
void sum_sorted_rows(const KernelSum& problem, const SeriesTables* tables,
                     const Workspace<Scalar>& workspace, Launches& launches) {
  const int threads = workspace.wide.sorting_threads;
  if (workspace.wide.sorting_shared > 0) {
    launches.add(sum_sorted<Cdf, Scalar>,
                 {workspace.rows_at_a_time, threads, workspace.wide.sorting_shared}, problem,
                 tables, workspace.forms);
  } else {
    launches.add(sum_sorted_together<Cdf, Scalar>,
                 shape_together<Scalar>(problem, workspace.together), problem, tables,
                 workspace.forms, workspace.together);
  }
}

/// [rows * tiles] blocks. If `forms` are given, for the rows that are left to this.
template <class Cdf, class Scalar>
void sum_pairs(const KernelSum& problem, const uint8_t* forms, Launches& launches) {
  const int threads = problem.size <= kWarp ? kWarp : 128;
  const int64_t tiles = (problem.size + threads - 1) / threads;
  launches.add(sum_pairwise<Cdf, Scalar>, {problem.rows * tiles, threads}, problem, tiles, forms);
}

template <class Cdf, class Scalar, int kOrder>
cudaError_t sum_in_series(const KernelSum& problem, void* memory, cudaStream_t stream) {
  cudaError_t error = cudaSuccess;
  const SeriesTables* tables = series_tables(Cdf::name, precision_of<Scalar>, kOrder, error);
  if (tables == nullptr) return error;
  const Workspace<Scalar> workspace(problem, needs_of<Cdf>(), memory);
  Launches launches(stream);
  if (is_long(problem)) {
    error = sum_long_rows<Scalar, kOrder>(problem, tables, workspace, launches);
  } else {
    sum_short_rows<Scalar, kOrder>(problem, tables, workspace, launches);
  }
  if (error != cudaSuccess) return error;
  if constexpr (kHasGrid<Cdf>) {
    sum_sorted_rows<Cdf>(problem, tables, workspace, launches);
  } else {
    sum_pairs<Cdf, Scalar>(problem, workspace.forms, launches);
  }
  return launches.error();
}

/// F(-d) = e^-d/2: a block a row of any length; all blocks sort those that have no room in shared
/// memory.
template <class Cdf, class Scalar, int kOrder>
cudaError_t sum_in_scans(const KernelSum& problem, void* memory, cudaStream_t stream) {
  const Workspace<Scalar> workspace(problem, needs_of<Cdf>(), memory);
  Launches launches(stream);
  if (const int64_t shared = workspace.wide.sorting_shared; shared > 0) {
    launches.add(scan_rows<Scalar, kOrder>,
                 {workspace.rows_at_a_time, workspace.wide.sorting_threads, shared}, problem);
  } else {
    launches.add(scan_rows_together<Scalar, kOrder>,
                 shape_together<Scalar>(problem, workspace.together), problem, workspace.together);
  }
  return launches.error();
}

template <class Cdf, class Scalar, int kOrder>
cudaError_t sum_by_order(const KernelSum& problem, void* memory, cudaStream_t stream) {
  static_assert(kIsExponential<Cdf> || kHasOneBox<Cdf>, "only what is_pairwise says has no form");
  if constexpr (kIsExponential<Cdf>) {
    return sum_in_scans<Cdf, Scalar, kOrder>(problem, memory, stream);
  } else {
    return sum_in_series<Cdf, Scalar, kOrder>(problem, memory, stream);
  }
}

template <class Cdf, class Scalar>
cudaError_t sum_rows_of(const KernelSum& problem, void* workspace, cudaStream_t stream) {
  if (is_pairwise(problem)) {
    Launches launches(stream);
    sum_pairs<Cdf, Scalar>(problem, nullptr, launches);
    return launches.error();
  }
  switch (problem.order) {
    case 0:
      return sum_by_order<Cdf, Scalar, 0>(problem, workspace, stream);
    case 1:
      return sum_by_order<Cdf, Scalar, 1>(problem, workspace, stream);
    default:
      return sum_by_order<Cdf, Scalar, 2>(problem, workspace, stream);
  }
}

}  // namespace

int64_t longest_row(std::string_view method) {
  int64_t longest = kLongestRow;
  SmoothCdfs::visit(method, [&](auto cdf) {
    if (!kFallsExponentially<decltype(cdf)>) longest = kLongestRowOfPairs;
  });
  return longest;
}

size_t kernel_sum_workspace(const KernelSum& problem, std::string_view method) {
  if (problem.rows == 0 || problem.size == 0) return 0;
  if (is_pairwise(problem) || fits_in_registers(problem)) return 0;
  size_t bytes = 0;
  SmoothCdfs::visit(method, [&](auto cdf) {
    constexpr Needs kNeeds = needs_of<decltype(cdf)>();
    bytes = problem.input.storage == Storage::kFloat64
                ? Workspace<double>(problem, kNeeds, nullptr).bytes
                : Workspace<float>(problem, kNeeds, nullptr).bytes;
  });
  return bytes;
}

cudaError_t kernel_sum(const KernelSum& problem, std::string_view method, void* workspace,
                       cudaStream_t stream) {
  cudaError_t error = cudaErrorInvalidValue;
  if (problem.rows == 0 || problem.size == 0) return cudaSuccess;
  if (problem.size > longest_row(method)) return error;
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    KernelSum of_cdf = problem;
    of_cdf.linear_spread = Cdf::linear_spread;
    if (fits_in_registers(of_cdf)) {
      error = sum_in_registers(of_cdf, method, stream);
      return;
    }
    error = problem.input.storage == Storage::kFloat64
                ? sum_rows_of<Cdf, double>(of_cdf, workspace, stream)
                : sum_rows_of<Cdf, float>(of_cdf, workspace, stream);
  });
  return error;
}

}  // namespace rank_relax::cuda
