#pragma once

#include <algorithm>
#include <cstdint>

#include "core/series/box_series.h"
#include "cpu/aligned_array.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/grid/cell_moments.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The moments of a row on a grid of boxes, for each set of weights, in double:
///
///     moments[b][set][l] = Σ_{j in b} w_j s_j^l          s = local coordinate in [-1, 1]
///
/// In float32 items know cells alone, eight a box, with fewer powers, and the moments of a box are
/// made of those of its cells. A row is cut into parts, in a way that threads don't change. Doubles
/// may have the grid of either precision.
template <class Scalar, int kOrder, Precision kPrecision = precision_of<Scalar>>
class BoxMoments {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kTerms = kGridTerms[kPrecision];
  static constexpr int kRow = kSets * kTerms;  // of a box: the terms of its sets
  static constexpr int kVectors = kTerms / W::kLanes;
  static constexpr int kCells = kCellsABox[precision_of<Scalar>];
  static constexpr int kCellPowers = kCells > 1 ? kCellTerms[precision_of<Scalar>] : kTerms;
  static constexpr int kCellRow = kSets * kCellPowers;  // of a cell
  static constexpr int kBlock = 64;                     // items whose coordinates are kept at hand
  static constexpr int64_t kPart = 1 << 15;

 public:
  /// `series` says how cells make a box; `most_parts` may share the work.
  template <class Grid>
  void add(const Grid& grid, const Summands<Scalar>& summands, const GridSeries& series,
           int64_t most_parts, const ParallelFor& parallel_for) {
    boxes_ = (grid.cells() + kCells - 1) / kCells;
    add_parts(grid, summands, most_parts, parallel_for);
    constexpr int64_t kBoxesWorthAThread = 256;
    if constexpr (kCells > 1) {
      moments_.make_room(boxes_ * kRow);
      parallel_for(boxes_, kBoxesWorthAThread, [&](int64_t begin, int64_t end) {
        for (int64_t box = begin; box < end; ++box) add_cells(series, box);
      });
    }
  }

  int64_t boxes() const { return boxes_; }
  const double* of(int64_t box) const {
    return (kCells > 1 ? moments_ : cell_moments_).data() + box * kRow;
  }
  const double* cells() const { return cell_moments_.data(); }

  /// The moments of the items in [begin, end), [cell][set][power], to those that are there.
  template <class Grid>
  static void add_items(const Grid& grid, const Summands<Scalar>& summands, int64_t begin,
                        int64_t end, double* moments) {
    const Scalar* values = summands.row.values;
    if constexpr (kCells > 1) {
      CellMoments<kOrder>::add(grid, values, summands.directions, begin, end, moments);
    } else {
      int64_t i = begin;
      for (; i + kBlock <= end; i += kBlock) {
        add_block(grid, values + i, summands.directions, i, kBlock, moments);
      }
      if (i == end) return;
      Scalar rest[kBlock];
      std::fill_n(rest, kBlock, summands.row.minimum);
      std::copy(values + i, values + end, rest);
      add_block(grid, rest, summands.directions, i, static_cast<int>(end - i), moments);
    }
  }

 private:
  template <class Grid>
  void add_parts(const Grid& grid, const Summands<Scalar>& summands, int64_t most_parts,
                 const ParallelFor& parallel_for) {
    const int64_t count = summands.row.count;
    const int64_t row_size = boxes_ * kCells * kCellRow;
    const int64_t parts =
        std::clamp<int64_t>(std::min(count / kPart, count / (2 * row_size)), 1,
                            most_parts);  // at most 4 bytes an item beside the first
    cell_moments_.make_room(parts * row_size);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        double* moments = cell_moments_.data() + part * row_size;
        std::fill_n(moments, row_size, 0.0);
        add_items(grid, summands, count * part / parts, count * (part + 1) / parts, moments);
      }
    });
    double* total = cell_moments_.data();
    for (int64_t part = 1; part < parts; ++part) {
      const double* from = cell_moments_.data() + part * row_size;
      for (int64_t i = 0; i < row_size; ++i) total[i] += from[i];
    }
  }

  /// One item at a time, its powers across lanes.
  template <class Grid>
  static void add_block(const Grid& grid, const Scalar* values, const Direction<Scalar>* directions,
                        int64_t first_item, int count, double* moments) {
    int32_t offsets[kBlock];
    double t[kBlock], t2[kBlock], t4[kBlock], t8[kBlock];
    for (int i = 0; i < kBlock; i += V::kLanes) {
      const V coordinate = grid.template place<kCellRow>(values + i, offsets + i);
      const V square = coordinate * coordinate;
      coordinate.store(t + i);
      square.store(t2 + i);
      (square * square).store(t4 + i);
      (square * square * (square * square)).store(t8 + i);
    }
    const double* power = W::kLanes == 8 ? t8 : (W::kLanes == 4 ? t4 : t2);  // t^kLanes
    for (int i = 0; i < count; ++i) {
      double* row = moments + offsets[i];
      double weights[kSets] = {1};
      for (int l = 0; l < kOrder; ++l) weights[1 << l] = directions[l](first_item + i);
      if constexpr (kOrder == 2) weights[3] = weights[1] * weights[2];
      W powers = W::first_powers(t[i], t2[i], t4[i]);
      unroll<kVectors>([&](auto v) {
        double* at = row + v * W::kLanes;
        (W::load(at) + powers).store(at);
        unroll<kSets - 1>([&](auto other) {
          double* weighted = at + (other + 1) * kTerms;
          multiply_add(powers, W::broadcast(weights[other + 1]), W::load(weighted)).store(weighted);
        });
        if (v + 1 < kVectors) powers = powers * W::broadcast(power[i]);
      });
    }
  }

  /// A box's moments from those of its cells.
  void add_cells(const GridSeries& series, int64_t box) {
    const double* cells = cell_moments_.data() + box * kCells * kCellRow;
    for (int set = 0; set < kSets; ++set) {
      W sums[kVectors];
      unroll<kVectors>([&](auto v) { sums[v] = W::broadcast(0); });
      const double* powers = series.cells_to_box.data();
      for (int cell = 0; cell < kCells; ++cell) {
        const double* moments = cells + cell * kCellRow + set * kCellPowers;
        for (int p = 0; p < kCellPowers; ++p, powers += kTerms) {
          unroll<kVectors>([&](auto v) {
            sums[v] =
                multiply_add(W::load(powers + v * W::kLanes), W::broadcast(moments[p]), sums[v]);
          });
        }
      }
      double* moments = moments_.data() + box * kRow + set * kTerms;
      unroll<kVectors>([&](auto v) { sums[v].store(moments + v * W::kLanes); });
    }
  }

  int64_t boxes_ = 0;
  AlignedArray<double> cell_moments_;  // [part][cell][set][power]; the total in part 0
  AlignedArray<double> moments_;       // [box][set][term], where a box has several cells
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
