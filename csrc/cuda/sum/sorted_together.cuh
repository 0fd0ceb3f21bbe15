#pragma once

#include <cstdint>

#include "cuda/launch/grid.cuh"
#include "cuda/row/rows_together.cuh"
#include "cuda/sort/merge_sort.cuh"
#include "cuda/sum/sorted_row.cuh"

namespace rank_relax::cuda {

// The kernel sums of long sorted rows (sorted_row.cuh), some rows at a time, by all blocks of the
// device. They wait for one another between the stages:
//
//     plans           of rows that have none yet, which are short, a block each
//     sort            tiles of the rows, and one merge after the other
//     mark            weights into order; in each part, where its last cluster begins, and whether
//                     an item sees many others
//     neighbours      rows of which none does: the results; of others the clusters, from what the
//                     parts before have marked, and how many runs begin in each part
//     starts          of the runs, from what the parts before have counted
//     moments         of the runs, those of long ones piece by piece, which are then added up
//     sums            the results, run by run, and those of long ones piece by piece
//
// A part is a block's, a piece a warp's. What is added in which order follows from the values.

/// Memory of one row besides that of its sort.
struct RowTogether {
  uint32_t begins[kMostPartsTogether];  // runs that begin in each part
  uint32_t runs;                        // in all
  uint32_t sees_few;                    // whether all items do
};

/// Memory that the rows are summed in.
struct TogetherMemory {
  int64_t rows;  // at a time
  Parts parts;
  Tiles tiles;     // that are sorted in shared memory
  RowPlan* plans;  // of all rows
  bool has_plans;  // that have been made
  RowTogether* of_rows;
  char* sorting;
  size_t bytes_a_sort;
};

/// Some rows, numbers in `rows`, in shared memory.
template <class Cdf, class Scalar>
struct SumTogether {
  const KernelSum& problem;
  const SeriesTables& tables;
  const TogetherMemory& memory;
  const int64_t* rows;
  int count;

  using Key = SortKey<Scalar>;

  __device__ const RowPlan& plan_of(int64_t number) const { return memory.plans[rows[number]]; }
  __device__ SortedSumMemory<Scalar> memory_of(int64_t number) const {
    return {memory.sorting + number * memory.bytes_a_sort, problem.size};
  }
  __device__ SortedRow<Scalar> sorted_row(int64_t number) const {
    return {problem, tables, plan_of(number), rows[number], memory_of(number)};
  }

  /// What parts mark for those behind them, in memory that the starts of runs take later: a row has
  /// room for two numbers a part.
  struct Marks {
    uint32_t* last_clusters;
    uint32_t* see_many;
  };
  __device__ Marks marks_of(const SortedRow<Scalar>& sorted) const {
    return {sorted.runs, sorted.runs + memory.parts.count};
  }

  /// By blocks.
  template <class Work>
  __device__ void for_parts(const Work& work) const {
    for_blocks(count * memory.parts.count, [&](int64_t unit) {
      const int64_t number = unit / memory.parts.count, part = unit % memory.parts.count;
      work(number, part, memory.parts.range(rows[number], part, problem.size));
    });
  }

  __device__ void make_plans() const {
    for_blocks(count, [&](int64_t number) {
      const int64_t row = rows[number];
      const RowStatistics found =
          problem.order == 0   ? statistics_of<Scalar, 0>(problem, problem.whole(row))
          : problem.order == 1 ? statistics_of<Scalar, 1>(problem, problem.whole(row))
                               : statistics_of<Scalar, 2>(problem, problem.whole(row));
      if (threadIdx.x != 0) return;
      make_plan(problem, found, factor_of<Scalar>(problem, row), /*with_directions=*/true,
                memory.plans[row]);
    });
    wait_for_grid();
  }

  __device__ void sort(char* shared) const {
    const auto key = [&](int64_t number, int64_t i) {
      return key_of_item<Scalar>(problem, rows[number], i);
    };
    const auto piece = [&](int64_t number, int which) {
      return memory_of(number).sort.piece(which);
    };
    sort_together<Key>(memory.tiles, count, key, piece, shared);
    wait_for_grid();
  }

  __device__ void mark() const {
    for_parts([&](int64_t number, int64_t part, const ItemRange& places) {
      const SortedRow<Scalar> sorted = sorted_row(number);
      sort_weights(problem, sorted.plan, places, sorted.positions, sorted.weights);
      write_others<Scalar>(problem, sorted.plan, places, sorted.positions);
      const int64_t end = places.end < sorted.count ? places.end : sorted.count;
      double last = 0, many = 0;
      for (int64_t p = places.begin + threadIdx.x; p < end; p += blockDim.x) {
        if (sorted.begins_cluster(p)) last = static_cast<double>(p);
        if (p + kFewNeighbours < sorted.count && sorted.within_reach(p, p + kFewNeighbours)) {
          many = 1;
        }
      }
      last = reduce_in_block(last, Larger());
      many = reduce_in_block(many, Larger());
      if (threadIdx.x != 0) return;
      marks_of(sorted).last_clusters[part] = static_cast<uint32_t>(last);
      marks_of(sorted).see_many[part] = many > 0;
    });
    wait_for_grid();
  }

  /// Whether there are rows that see many.
  __device__ bool sum_neighbours_or_find_clusters() const {
    for_parts([&](int64_t number, int64_t part, const ItemRange& places) {
      const SortedRow<Scalar> sorted = sorted_row(number);
      const Marks marks = marks_of(sorted);
      RowTogether& of_row = memory.of_rows[number];
      const int64_t end = places.end < sorted.count ? places.end : sorted.count;
      double latest = 0, many = 0;
      for (int64_t other = threadIdx.x; other < memory.parts.count; other += blockDim.x) {
        if (other < part) latest = Larger()(latest, marks.last_clusters[other]);
        many = Larger()(many, marks.see_many[other]);
      }
      latest = reduce_in_block(latest, Larger());
      many = reduce_in_block(many, Larger());
      if (part == 0 && threadIdx.x == 0) of_row.sees_few = many == 0;
      if (many == 0) {
        sum_neighbours<Cdf>(sorted, places.begin, end, kFewNeighbours);
        return;
      }
      int64_t cluster = static_cast<int64_t>(latest);
      double begins = 0;
      for (int64_t first = places.begin; first < end; first += blockDim.x) {
        const int64_t p = first + threadIdx.x;
        int64_t last;
        int64_t own =
            scan_in_block(p < end && sorted.begins_cluster(p) ? p : int64_t{0}, Later(), last);
        own = Later()(own, cluster);
        if (p < end) {
          sorted.clusters[p] = static_cast<uint32_t>(own);
          begins += sorted.begins_run(own, p) ? 1 : 0;
        }
        cluster = Later()(last, cluster);
      }
      begins = reduce_in_block(begins, Sum());
      if (threadIdx.x == 0) of_row.begins[part] = static_cast<uint32_t>(begins);
    });
    wait_for_grid();
    bool any = false;
    for (int number = 0; number < count; ++number) any |= memory.of_rows[number].sees_few == 0;
    return any;
  }

  __device__ void find_starts() const {
    for_parts([&](int64_t number, int64_t part, const ItemRange& places) {
      RowTogether& of_row = memory.of_rows[number];
      if (of_row.sees_few != 0) return;
      const SortedRow<Scalar> sorted = sorted_row(number);
      const int64_t end = places.end < sorted.count ? places.end : sorted.count;
      double ahead = 0, all = 0;
      for (int64_t other = threadIdx.x; other < memory.parts.count; other += blockDim.x) {
        if (other < part) ahead += of_row.begins[other];
        all += of_row.begins[other];
      }
      int64_t before = static_cast<int64_t>(reduce_in_block(ahead, Sum()));
      all = reduce_in_block(all, Sum());
      for (int64_t first = places.begin; first < end; first += blockDim.x) {
        const int64_t p = first + threadIdx.x;
        const bool begins = p < end && sorted.begins_run(sorted.clusters[p], p);
        int64_t here;
        const int64_t run = before + scan_in_block(int64_t{begins}, Sum(), here);
        if (begins) sorted.runs[run - 1] = static_cast<uint32_t>(p);
        before += here;
      }
      if (part == 0 && threadIdx.x == 0) {
        of_row.runs = static_cast<uint32_t>(all);
        sorted.runs[static_cast<int64_t>(all)] = static_cast<uint32_t>(sorted.count);
      }
    });
    wait_for_grid();
  }

  /// Calls visit(sorted, run, begin, end), by a warp, for what a piece has of each run that has
  /// pieces, and for the others, as a whole, where they begin.
  template <class Visit>
  __device__ void for_pieces(const Visit& visit) const {
    const int64_t size = RunMemory<Scalar>::items_of_piece(problem.order);
    const int64_t pieces = (problem.size + size - 1) / size;
    for_warps(count * pieces, [&](int64_t unit) {
      const int64_t number = unit / pieces, begin = unit % pieces * size;
      SortedRow<Scalar> sorted = sorted_row(number);
      if (memory.of_rows[number].sees_few != 0 || begin >= sorted.count) return;
      sorted.run_count = memory.of_rows[number].runs;
      const int64_t end = begin + size < sorted.count ? begin + size : sorted.count;
      const auto is_before = [&](int64_t run) { return sorted.runs[run] <= begin; };
      int64_t run = partition_in_warp(1, sorted.run_count, is_before) - 1;
      for (; run < sorted.run_count && sorted.runs[run] < end; ++run) {
        const int64_t first = sorted.runs[run], last = sorted.runs[run + 1];
        if (sorted.run_memory.has_pieces(first, last)) {
          visit(sorted, run, first > begin ? first : begin, last < end ? last : end);
        } else if (first >= begin) {
          visit(sorted, run, first, last);
        }
      }
    });
  }

  __device__ void find_moments() const {
    for_pieces([](const SortedRow<Scalar>& sorted, int64_t run, int64_t begin, int64_t end) {
      const RunMemory<Scalar>& kept = sorted.run_memory;
      double* moments = kept.moments(run);
      if (moments == nullptr) return;
      const int64_t first = sorted.runs[run], size = kept.items_of_piece(sorted.problem.order);
      if (kept.has_pieces(first, sorted.runs[run + 1])) {
        moments = kept.moments_of_piece(run, begin / size - first / size);
      }
      moments_of_items(sorted, begin, end, moments);
    });
    wait_for_grid();
    for_pieces([](const SortedRow<Scalar>& sorted, int64_t run, int64_t begin, int64_t) {
      const RunMemory<Scalar>& kept = sorted.run_memory;
      const int64_t first = sorted.runs[run], last = sorted.runs[run + 1];
      if (begin != first || !kept.has_pieces(first, last)) return;
      const int64_t size = kept.items_of_piece(sorted.problem.order);
      const int64_t pieces = (last - 1) / size - first / size + 1;
      const int numbers = kBoxTerms<Scalar> << sorted.problem.order;
      const int abreast = numbers < kWarp ? numbers : kWarp;  // lanes with a number each
      double* const moments = kept.moments(run);
      for (int number = lane() % abreast; number < numbers; number += abreast) {
        double sum = 0;
#pragma unroll 8
        for (int64_t piece = lane() / abreast; piece < pieces; piece += kWarp / abreast) {
          sum += kept.moments_of_piece(run, piece)[number];
        }
        for (int distance = abreast; distance < kWarp; distance *= 2) {
          sum += __shfl_xor_sync(kAllLanes, sum, distance);
        }
        if (lane() < abreast) moments[number] = sum;
      }
    });
    wait_for_grid();
  }

  /// The results of the rows, in shared memory for a tile and for the warps.
  __device__ void sum(char* shared) const {
    if (!memory.has_plans) make_plans();
    sort(shared);
    mark();
    if (sum_neighbours_or_find_clusters()) {
      find_starts();
      find_moments();
      for_pieces([&](const SortedRow<Scalar>& sorted, int64_t run, int64_t begin, int64_t end) {
        sum_run<Cdf>(sorted, run, begin, end, reinterpret_cast<double*>(shared));
      });
    }
    wait_for_grid();  // before other rows take the memory
  }
};

}  // namespace rank_relax::cuda
