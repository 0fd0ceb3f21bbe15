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
template <class Scalar, int kOrder, Precision kPrecision = precision_of<Scalar>>
class ManyBoxes {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  using Moments = BoxMoments<Scalar, kOrder, kPrecision>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kTerms = kGridTerms[kPrecision];
  static constexpr int kRow = kSets * kTerms;  // of a box: the terms of its sets
  static constexpr int kCells = kCellsABox[precision_of<Scalar>];
  static constexpr int kCellPowers = kCells > 1 ? kCellTerms[precision_of<Scalar>] : kTerms;
  static constexpr int kCellRow = kSets * kCellPowers;  // of a cell
  static constexpr int64_t kPart = 1 << 15;

 public:
  static constexpr int64_t kMostParts = 16;

  /// Sums over all of the row's items, at those in `targets`; `most_parts` may share the first
  /// step.
  void sum(const Summands<Scalar>& summands, Range targets, const GridKernel& kernel,
           int64_t most_parts, const Output<Scalar>& output, const ParallelFor& parallel_for) {
    const double cell_width = kernel.series->width / kCells;
    const auto sum_on = [&](const auto& grid) {
      moments_.add(grid, summands, *kernel.series, most_parts, parallel_for);
      translate(kernel, moments_.of(0), moments_.boxes(), output, parallel_for);
      const int64_t parts = (targets.end - targets.begin + kPart - 1) / kPart;
      parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
        evaluate(
            grid, summands,
            {targets.begin + begin * kPart, std::min(targets.begin + end * kPart, targets.end)},
            output);
      });
    };
    if constexpr (sizeof(Scalar) == 4) {
      const SingleCellGrid grid(summands.row, cell_width, summands.regularization_strength);
      if (grid.suits()) return sum_on(grid);
    }
    sum_on(DoubleCellGrid<Scalar>(summands.row, cell_width, summands.regularization_strength));
  }

  // The steps of sum(), for a row whose items don't lie together: the moments of its parts add up,
  // translate() makes local series of them, and evaluate() serves one part after another. With one
  // cell a box.

  template <class Grid>
  static void add_moments(const Grid& grid, const Summands<Scalar>& part, double* moments) {
    static_assert(kCells == 1);
    Moments::add_items(grid, part, 0, part.row.count, moments);
  }

  /// The moments [box][set][term] are read no more once this returns.
  void translate(const GridKernel& kernel, const double* moments, int64_t boxes,
                 const Output<Scalar>& output, const ParallelFor& parallel_for) {
    if constexpr (kCells == 1) local_.make_room(boxes * kCellRow);
    constexpr int64_t kBoxesWorthAThread = 256;
    translation_.set_moments(kernel, moments, boxes, output.base);
    parallel_for(boxes, kBoxesWorthAThread, [&](int64_t begin, int64_t end) {
      for (int64_t box = begin; box < end; ++box) translate(*kernel.series, box, output.unit);
    });
  }

  template <class Grid>
  void evaluate(const Grid& grid, const Summands<Scalar>& summands, Range targets,
                const Output<Scalar>& output) const {
    const FiniteRow<Scalar> row = summands.row;  // in registers: it can't be what is written to
    const Direction<Scalar>* directions = summands.directions;
    int64_t i = targets.begin;
    for (; i + V::kLanes <= targets.end; i += V::kLanes) {
      V at[std::max(kOrder, 1)];
      for (int l = 0; l < kOrder; ++l) {
        at[l] = direction_at(directions[l], V::load(directions[l].values + i));
      }
      finish(sum_at(grid, row.values + i, at), output).store(output.values + i);
    }
    if (i == targets.end) return;
    const int count = static_cast<int>(targets.end - i);
    Scalar rest[V::kLanes];
    std::fill_n(rest, V::kLanes, row.minimum);  // whose box has a series
    std::copy(row.values + i, row.values + targets.end, rest);
    V at[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) {
      at[l] = direction_at(directions[l], V::load_first(directions[l].values + i, count));
    }
    finish(sum_at(grid, rest, at), output).store_first(output.values + i, count);
  }

 private:
  /// Where a box has several cells, their local series take the place of their moments, which are
  /// not needed any more once the box has its own.
  const Scalar* local_series() const {
    return kCells > 1 ? reinterpret_cast<const Scalar*>(moments_.cells()) : local_.data();
  }
  Scalar* local_series() { return const_cast<Scalar*>(std::as_const(*this).local_series()); }

  /// A box's local coefficients, in this unit, from the moments of those within reach.
  void translate(const GridSeries& series, int64_t box, double unit) {
    if (translation_.is_empty(box)) {  // no item will ask
      if constexpr (kCells == 1) std::fill_n(local_.data() + box * kRow, kRow, 0.0);
      return;
    }
    double local[kRow];
    translation_.local_series(box, local);
    if constexpr (kOrder == 0) {
      for (double& coefficient : local) coefficient *= unit;
    }
    for (int set = 0; set < kSets; ++set) {
      cut(series, local + set * kTerms,
          local_series() + box * kCells * kCellRow + set * kCellPowers);
    }
  }

  /// The local series of one set for each cell of its box.
  static void cut(const GridSeries& series, const double* local, Scalar* cells) {
    if constexpr (kCells == 1) {
      for (int k = 0; k < kTerms; ++k) cells[k] = static_cast<Scalar>(local[k]);
    } else {
      constexpr int kPieces = kCells * kCellPowers / W::kLanes;
      W sums[kPieces];
      unroll<kPieces>([&](auto i) { sums[i] = W::broadcast(0); });
      const double* powers = series.box_to_cells.data();
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

  Moments moments_;
  AlignedArray<Scalar> local_;  // [box][set][term], where it has one
  BoxTranslation<kTerms, kOrder> translation_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
