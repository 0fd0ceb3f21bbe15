#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "cpu/batch/rows_over_threads.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/sum/row_sum.h"
#include "cpu/sum/rows_abreast.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// visit(row index, row_sum, parallel_for) for every row of a batch. Each range of rows has memory
/// of its own, so `row_sum` is set to the row first. Where rows may go abreast,
/// visit_abreast(first row index, rows) is asked for as many first, and refuses them by returning
/// false.
template <class Cdf, class Scalar, class Visit, class VisitAbreast>
void for_each_row(const SoftBatch<Scalar>& batch, const ParallelFor& parallel_for,
                  const Visit& visit, const VisitAbreast& visit_abreast) {
  using Abreast = RowsAbreast<Scalar>;
  const bool abreast = Abreast::template suits<Cdf>(batch);
  const int64_t group = abreast ? Abreast::kRows : 1;  // for any number of threads
  RowsOverThreads{1 << 12}.visit_ranges(
      (batch.count + group - 1) / group, group * batch.size, parallel_for,
      [&](int64_t begin, int64_t end, const ParallelFor& in_row) {
        RowSum<Scalar> row_sum;
        const auto rows = abreast ? std::make_unique<Abreast>(batch.size) : nullptr;
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i * group, last = std::min(first + group, batch.count);
          const bool done = abreast && last - first == group &&
                            rows->set_rows(batch.input, first) && visit_abreast(first, *rows);
          if (done) continue;
          for (int64_t row = first; row < last; ++row) {
            row_sum.set_row(batch.row(row), in_row);
            visit(row, row_sum, in_row);
          }
        }
      });
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
