#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/rows_over_threads.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/split_rank.h"
#include "cpu/sum/split_row_sum.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// visit(sum, row index, parallel_for) for every row of a batch.
template <class Scalar, int kOrder, class Visit>
void for_each_split_row_of_order(const SplitBatch<Scalar>& batch, const ParallelFor& parallel_for,
                                 const Visit& visit) {
  SmoothCdfs::WithGrid::visit(batch.method, [&](auto cdf) {
    RowsOverThreads{1 << 12}.visit_ranges(
        batch.part.count, batch.part.size, parallel_for,
        [&](int64_t begin, int64_t end, const ParallelFor& in_row) {
          for (int64_t row = begin; row < end; ++row) {
            SplitRowSum<Scalar, kOrder, decltype(cdf)> sum(batch, row);
            visit(sum, row, in_row);
          }
        });
  });
}

template <class Scalar, class Visit>
void for_each_split_row(const SplitBatch<Scalar>& batch, const ParallelFor& parallel_for,
                        const Visit& visit) {
  if (batch.part.count == 0) return;
  if (batch.order == 0) {
    for_each_split_row_of_order<Scalar, 0>(batch, parallel_for, visit);
  } else if (batch.order == 1) {
    for_each_split_row_of_order<Scalar, 1>(batch, parallel_for, visit);
  } else {
    for_each_split_row_of_order<Scalar, 2>(batch, parallel_for, visit);
  }
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SplitRankKernels<Set, Scalar>::moments(const SplitBatch<Scalar>& batch, int64_t size,
                                            double* moments, const ParallelFor& parallel_for) {
  std::fill_n(moments, batch.part.count * size, 0.0);
  const int64_t items = batch.part.size;
  for_each_split_row(
      batch, parallel_for, [&](const auto& sum, int64_t row, const ParallelFor& in_row) {
        double* total = moments + row * size;
        // Parts have moments of their own, which take no more memory than the items.
        constexpr int64_t kMostParts = 16, kPart = 1 << 15;
        const int64_t parts = std::clamp<int64_t>(
            std::min(items / kPart, items / std::max<int64_t>(2 * size, 1)), 1, kMostParts);
        std::vector<double> others((parts - 1) * size, 0.0);
        in_row(parts, 1, [&](int64_t begin, int64_t end) {
          for (int64_t part = begin; part < end; ++part) {
            sum.add_moments(items * part / parts, items * (part + 1) / parts,
                            part == 0 ? total : others.data() + (part - 1) * size);
          }
        });
        for (int64_t part = 1; part < parts; ++part) {
          const double* more = others.data() + (part - 1) * size;
          for (int64_t i = 0; i < size; ++i) total[i] += more[i];
        }
      });
}

template <class Set, class Scalar>
void SplitRankKernels<Set, Scalar>::derivative(const SplitBatch<Scalar>& batch,
                                               const double* counts, int64_t size,
                                               const double* moments, double* output,
                                               const ParallelFor& parallel_for) {
  const int64_t items = batch.part.size;
  for_each_split_row(batch, parallel_for, [&](auto& sum, int64_t row, const ParallelFor& in_row) {
    constexpr int64_t kPart = 1 << 15;
    sum.set_moments(moments + row * size, counts + row * 3, in_row);
    in_row((items + kPart - 1) / kPart, 1, [&](int64_t begin, int64_t end) {
      sum.evaluate(begin * kPart, std::min(end * kPart, items), output + row * items);
    });
  });
}

}  // namespace rank_relax::cpu
