#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "core/series/box_series.h"
#include "cpu/aligned_array.h"
#include "cpu/grid/box_moments.h"
#include "cpu/grid/box_translation.h"
#include "cpu/grid/cell_grid.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// A range of a row's items.
struct Range {
  int64_t begin;
  int64_t end;
};

/// The kernel sum of a broad row on a grid of boxes, O(1) an item and O(reach) a box:
///
///     moments[b][l] = Σ_{j in b} w_j s_j^l          s = local coordinate in [-1, 1]
///     local[b][k]   = Σ_{b' within reach} Σ_l c[b - b'][l][k] moments[b'][l]
///     Σ_j w_j K(α (x_i - x_j)) = Σ_k local[box of i][k] t_i^k
///
/// and for K = F - 1/2 the items of other boxes count ±1/2 each, to which c adds their tails. In
/// float32 items know cells alone, eight a box, with fewer powers: the moments of a box are made of
/// those of its cells, and its local series is cut into one for each of them. Moments are in
/// double. A row is cut into parts, in a way that threads don't change.
template <class Scalar, int kOrder>
class ManyBoxes {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  static constexpr Precision kPrecision = precision_of<Scalar>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kTerms = kGridTerms[kPrecision];
  static constexpr int kRow = kSets * kTerms;  // of a box: the terms of its sets
  static constexpr int kCells = kCellsABox[kPrecision];
  static constexpr int kCellPowers = kCellTerms[kPrecision];
  static constexpr int kCellRow = kSets * kCellPowers;  // of a cell
  static constexpr int64_t kPart = 1 << 15;

 public:
  static constexpr int64_t kMostParts = 16;

  /// Sums over all of the row's items, at those in `targets`; `most_parts` may share the first
  /// step.
  void sum(const FiniteRow<Scalar>& row, Range targets, double regularization_strength,
           const Direction<Scalar>* directions, const GridSeries& series, int reach,
           int64_t most_parts, const Output<Scalar>& output, const ParallelFor& parallel_for) {
    row_ = row;
    directions_ = directions;
    series_ = &series;
    reach_ = reach;
    const double cell_width = series.width / kCells;
    if constexpr (sizeof(Scalar) == 4) {
      const SingleCellGrid grid(row, cell_width, regularization_strength);
      if (grid.suits()) return sum_on(grid, targets, most_parts, output, parallel_for);
    }
    const DoubleCellGrid<Scalar> grid(row, cell_width, regularization_strength);
    sum_on(grid, targets, most_parts, output, parallel_for);
  }

 private:
  template <class Grid>
  void sum_on(const Grid& grid, Range targets, int64_t most_parts, const Output<Scalar>& output,
              const ParallelFor& parallel_for) {
    moments_.add(grid, row_, directions_, *series_, most_parts, parallel_for);
    boxes_ = moments_.boxes();
    if constexpr (kCells == 1) local_.make_room(boxes_ * kCellRow);
    constexpr int64_t kBoxesWorthAThread = 256;
    translation_.set_moments(*series_, reach_, moments_.of(0), boxes_, output.base);
    parallel_for(boxes_, kBoxesWorthAThread, [&](int64_t begin, int64_t end) {
      for (int64_t box = begin; box < end; ++box) translate(box, output.unit);
    });
    const int64_t parts = (targets.end - targets.begin + kPart - 1) / kPart;
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      evaluate(grid, targets.begin + begin * kPart,
               std::min(targets.begin + end * kPart, targets.end), output);
    });
  }

  /// Where a box has several cells, their local series take the place of their moments, which are
  /// not needed any more once the box has its own.
  const Scalar* local_series() const {
    return kCells > 1 ? reinterpret_cast<const Scalar*>(moments_.cells()) : local_.data();
  }
  Scalar* local_series() { return const_cast<Scalar*>(std::as_const(*this).local_series()); }

  /// A box's local coefficients, in this unit, from the moments of those within reach.
  void translate(int64_t box, double unit) {
    if (translation_.is_empty(box)) return;  // no item will ask
    double local[kRow];
    translation_.local_series(box, local);
    if constexpr (kOrder == 0) {
      for (double& coefficient : local) coefficient *= unit;
    }
    for (int set = 0; set < kSets; ++set) {
      cut(local + set * kTerms, local_series() + box * kCells * kCellRow + set * kCellPowers);
    }
  }

  /// The local series of one set for each cell of its box.
  void cut(const double* local, Scalar* cells) const {
    if constexpr (kCells == 1) {
      for (int k = 0; k < kTerms; ++k) cells[k] = static_cast<Scalar>(local[k]);
    } else {
      constexpr int kPieces = kCells * kCellPowers / W::kLanes;
      W sums[kPieces];
      unroll<kPieces>([&](auto i) { sums[i] = W::broadcast(0); });
      const double* powers = series_->box_to_cells.data();
      for (int l = 0; l < kTerms; ++l, powers += kCells * kCellPowers) {
        unroll<kPieces>([&](auto i) {
          sums[i] = multiply_add(W::load(powers + i * W::kLanes), W::broadcast(local[l]), sums[i]);
        });
      }
      double coefficients[kCells * kCellPowers];
      unroll<kPieces>([&](auto i) { sums[i].store(coefficients + i * W::kLanes); });
      for (int cell = 0; cell < kCells; ++cell) {
        for (int p = 0; p < kCellPowers; ++p) {
          cells[cell * kCellRow + p] = static_cast<Scalar>(coefficients[cell * kCellPowers + p]);
        }
      }
    }
  }

  template <class Grid>
  void evaluate(const Grid& grid, int64_t begin, int64_t end, const Output<Scalar>& output) const {
    int64_t i = begin;
    for (; i + V::kLanes <= end; i += V::kLanes) {
      V at[std::max(kOrder, 1)];
      for (int l = 0; l < kOrder; ++l) {
        at[l] = direction_at(directions_[l], V::load(directions_[l].values + i));
      }
      finish(sum_at(grid, row_.values + i, at), output).store(output.values + i);
    }
    if (i == end) return;
    const int count = static_cast<int>(end - i);
    Scalar rest[V::kLanes];
    std::fill_n(rest, V::kLanes, row_.minimum);  // whose box has a series
    std::copy(row_.values + i, row_.values + end, rest);
    V at[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) {
      at[l] = direction_at(directions_[l], V::load_first(directions_[l].values + i, count));
    }
    finish(sum_at(grid, rest, at), output).store_first(output.values + i, count);
  }

  template <class Grid>
  [[gnu::always_inline]] V sum_at(const Grid& grid, const Scalar* values,
                                  const V* directions) const {
    int32_t offsets[V::kLanes];
    const V r = grid.template place<kCellRow>(values, offsets);
    constexpr int kSetsAtOnce = kCells > 1 && kSets > 1 ? 2 : 1;
    V sums[kSets];
    unroll<kSets / kSetsAtOnce>([&](auto group) {
      constexpr int kFirst = group * kSetsAtOnce;
      V columns[kSetsAtOnce * kCellPowers];
      V::template load_columns<kSetsAtOnce * kCellPowers>(local_series() + kFirst * kCellPowers, 1,
                                                          offsets, columns);
      unroll<kSetsAtOnce>([&](auto set) {
        const V* powers = columns + set * kCellPowers;
        V sum = powers[kCellPowers - 1];
        unroll<kCellPowers - 1>(
            [&](auto p) { sum = multiply_add(sum, r, powers[kCellPowers - 2 - p]); });
        sums[kFirst + set] = sum;
      });
    });
    return combine<kOrder>(sums, directions);
  }

  FiniteRow<Scalar> row_;
  const Direction<Scalar>* directions_;
  const GridSeries* series_;
  int reach_;  // in boxes
  int64_t boxes_;
  BoxMoments<Scalar, kOrder> moments_;
  AlignedArray<Scalar> local_;  // [box][set][term], where it has one
  BoxTranslation<kTerms, kOrder> translation_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
