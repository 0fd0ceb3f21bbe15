#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/sum/row_sum.h"
#include "cpu/sum/rows_abreast.h"

namespace rank_relax::cpu {

/// visit(row index, row_sum, parallel_for) for every row of a batch: short rows in parallel, long
/// ones one after the other, to be split by visit. Each range of rows has memory of its own, so
/// `row_sum` must be set to the row first. Where rows go abreast, visit_abreast(first row index,
/// rows) gets so many of them first, and may refuse them by returning false.
template <class Isa, class Scalar, class Visit, class VisitAbreast>
void for_each_row(const Batch<Scalar>& batch, const ParallelFor& parallel_for, const Visit& visit,
                  const VisitAbreast& visit_abreast) {
  if (batch.count == 0) return;
  constexpr int64_t kLongRow = 1 << 16;
  constexpr int64_t kItemsWorthAThread = 1 << 12;
  const auto visit_rows = [&](RowSum<Isa, Scalar>& row_sum, int64_t begin, int64_t end,
                              const ParallelFor& parallel_in_row) {
    for (int64_t row = begin; row < end; ++row) {
      row_sum.set_row(batch.input.row(row), batch.mask.row(row), batch.size, parallel_in_row);
      visit(row, row_sum, parallel_in_row);
    }
  };
  if (batch.size >= kLongRow) {
    RowSum<Isa, Scalar> row_sum;
    return visit_rows(row_sum, 0, batch.count, parallel_for);
  }
  // Groups are the same for any number of threads.
  using Abreast = RowsAbreast<Isa, Scalar>;
  const bool abreast = Abreast::suits(batch);
  const int64_t group = abreast ? Abreast::kRows : 1;
  const int64_t items = group * std::max<int64_t>(batch.size, 1);
  parallel_for((batch.count + group - 1) / group, std::max<int64_t>(kItemsWorthAThread / items, 1),
               [&](int64_t begin, int64_t end) {
                 RowSum<Isa, Scalar> row_sum;
                 const auto rows = abreast ? std::make_unique<Abreast>() : nullptr;
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = i * group, last = std::min(first + group, batch.count);
                   const bool done = abreast && last - first == group &&
                                     rows->set_rows(batch.input, first, batch.size) &&
                                     visit_abreast(first, *rows);
                   if (!done) visit_rows(row_sum, first, last, in_this_thread);
                 }
               });
}

}  // namespace rank_relax::cpu
