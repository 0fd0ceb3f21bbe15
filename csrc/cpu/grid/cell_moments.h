#pragma once

#include <algorithm>
#include <cstdint>

#include "core/series/series_spread.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The moments of the cells of a grid in float32, a few powers for each set of weights, in double:
///
///     moments[cell of j][set][p] += w_j r_j^p       r = coordinate in the cell, in [-1, 1]
///
/// The powers of a vector of items are computed together and turned to a row for each item, and
/// then items are added one by one.
template <int kOrder>
class CellMoments {
  using V = Vector<float>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kPowers = kCellTerms[kSingle];
  static constexpr int kColumns = std::min(kSets * kPowers, 8);  // what store_rows takes at once
  static constexpr int kGroups = kSets * kPowers / kColumns;
  static constexpr int kBlock = 128;  // items whose powers are kept at hand

  // In a sorted row neighbours share a cell, and each addition would wait for the one before: so
  // items from far apart go by turns.
  static constexpr int kStreams = 2;

 public:
  static constexpr int kRow = kSets * kPowers;  // of a cell

  /// Of the items in [begin, end). grid.place<kRow>(values, offsets) gives a vector of
  /// coordinates and where the cells begin in `moments`.
  template <class Grid>
  static void add(const Grid& grid, const float* values, const Direction<float>* directions,
                  int64_t begin, int64_t end, double* moments) {
    const int64_t stream = (end - begin) / kBlock * (kBlock / kStreams);
    for (int64_t i = begin; i < begin + stream; i += kBlock / kStreams) {
      add_block<true>(grid, values + i, directions, {i, stream, V::kLanes}, kBlock, moments);
    }
    const int64_t rest = begin + kStreams * stream;
    if (rest == end) return;
    float last[kBlock];
    std::fill_n(last, kBlock, values[begin]);
    std::copy(values + rest, values + end, last);
    const Block contiguous = {rest, V::kLanes, kStreams * V::kLanes};
    add_block<false>(grid, last, directions, contiguous, static_cast<int>(end - rest), moments);
  }

 private:
  /// kBlock items: vectors `across` items apart, one for each stream, and the next ones `along`
  /// items further.
  struct Block {
    int64_t first_item;
    int64_t across;
    int64_t along;
  };

  /// `values` are those from the first item on; a block that is not whole is contiguous.
  template <bool kWhole, class Grid>
  static void add_block(const Grid& grid, const float* values, const Direction<float>* directions,
                        Block block, int count, double* moments) {
    int32_t offsets[kBlock];
    float rows[kGroups][kBlock * kColumns];
    for (int i = 0; i < kBlock; i += V::kLanes) {
      const int vector = i / V::kLanes;
      const int64_t item = vector % kStreams * block.across + vector / kStreams * block.along;
      const V coordinate = grid.template place<kRow>(values + item, offsets + i);
      const int lanes = kWhole ? V::kLanes : std::clamp(count - i, 0, V::kLanes);
      V columns[kRow];
      weighted_powers<kWhole>(coordinate, directions, block.first_item + item, lanes, columns);
      unroll<kGroups>([&](auto group) {
        V::template store_rows<kColumns>(columns + group * kColumns, rows[group] + i * kColumns);
      });
    }
    for (int first = 0; first < kBlock; first += kStreams * V::kLanes) {
      unroll<V::kLanes>([&](auto lane) {
        unroll<kStreams>([&](auto stream) {
          const int i = first + stream * V::kLanes;
          if (!kWhole && i + lane >= count) return;
          double* sums = moments + offsets[i + lane];
          unroll<kGroups>([&](auto group) {
            V::template add_row<kColumns>(rows[group] + (i + V::row_of(lane)) * kColumns,
                                          sums + group * kColumns);
          });
        });
      });
    }
  }

  /// columns[set * kPowers + p] = w r^p
  template <bool kWhole>
  [[gnu::always_inline]] static void weighted_powers(V r, const Direction<float>* directions,
                                                     int64_t first_item, int lanes, V* columns) {
    columns[0] = V::broadcast(1);
    unroll<kOrder>([&](auto l) {
      const float* from = directions[l].values + (lanes > 0 ? first_item : 0);
      columns[(1 << l) * kPowers] =
          direction_at(directions[l], kWhole ? V::load(from) : V::load_first(from, lanes));
    });
    if constexpr (kOrder == 2) columns[3 * kPowers] = columns[kPowers] * columns[2 * kPowers];
    unroll<kSets>([&](auto set) {
      unroll<kPowers - 1>([&](auto p) {
        V* column = columns + set * kPowers + p;
        column[1] = column[0] * r;
      });
    });
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
