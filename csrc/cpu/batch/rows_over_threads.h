#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/parallel.h"

namespace rank_relax::cpu {

/// How the rows of a batch are spread over threads: short rows in parallel, as many to a thread as
/// are worth one; from kLongRow items on one after the other, each to be split by what visits it.
struct RowsOverThreads {
  static constexpr int64_t kLongRow = 1 << 16;

  int64_t items_worth_a_thread;
  bool splits_rows = true;  // else long rows go in parallel too

  /// visit(begin, end, parallel_for) for ranges of rows, with what may split a row of the range.
  template <class Visit>
  void visit_ranges(int64_t rows, int64_t items_a_row, const ParallelFor& parallel_for,
                    const Visit& visit) const {
    if (rows == 0) return;
    if (splits_rows && items_a_row >= kLongRow) return visit(int64_t{0}, rows, parallel_for);
    const int64_t grain = items_worth_a_thread / std::max<int64_t>(items_a_row, 1);
    parallel_for(rows, std::max<int64_t>(grain, 1),
                 [&](int64_t begin, int64_t end) { visit(begin, end, in_this_thread); });
  }

  /// The same for rows of different lengths: size(row), which is items_a_row on average.
  template <class Size, class Visit>
  void visit_ranges_of_any_size(int64_t rows, int64_t items_a_row, const Size& size,
                                const ParallelFor& parallel_for, const Visit& visit) const {
    const auto is_long = [&](int64_t row) { return splits_rows && size(row) >= kLongRow; };
    int64_t long_ones = 0;
    for (int64_t row = 0; row < rows; ++row) {
      if (!is_long(row)) continue;
      visit(row, row + 1, parallel_for);
      ++long_ones;
    }
    if (long_ones == rows) return;
    const RowsOverThreads short_ones{items_worth_a_thread, /*splits_rows=*/false};
    short_ones.visit_ranges(rows, items_a_row, parallel_for,
                            [&](int64_t first, int64_t last, const ParallelFor& in_row) {
                              for (int64_t begin = first, end; begin < last; begin = end + 1) {
                                for (end = begin; end < last && !is_long(end);) ++end;
                                if (begin < end) visit(begin, end, in_row);
                              }
                            });
  }
};

}  // namespace rank_relax::cpu
