#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/soft_topk_abreast.h"
#include "cpu/inverse/soft_topk_row.h"
#include "cpu/soft_topk.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftTopKKernels<Set, Scalar>::forward(const SoftBatch<Scalar>& batch, const Rows<double>& k,
                                           Scalar* chosen, double* densities,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using OwnRow = TopKRow<decltype(cdf), Scalar>;
    using Group = TopKAbreast<decltype(cdf), Scalar>;
    for_each_own_row_or_group<OwnRow, Group>(
        batch, parallel_for,
        [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.choose(batch.row(i), batch.regularization_strength, k.row(i)[0], chosen + at,
                     densities + at, in_row);
        },
        [&](int64_t first, auto& rows) {
          const int64_t at = first * batch.size;
          return rows.choose(k, first, chosen + at, densities + at);
        });
  });
}

template <class Set, class Scalar>
void SoftTopKKernels<Set, Scalar>::product(const SoftBatch<Scalar>& batch,
                                           const Rows<double>& densities, Scalar* output,
                                           const ParallelFor& parallel_for) {
  using OwnRow = TopKProductRow<Scalar>;
  for_each_own_row<OwnRow>(
      batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
        row.multiply(batch.input.row(i), densities.row(i), batch.size,
                     batch.regularization_strength, output + i * batch.size, in_row);
      });
}

}  // namespace rank_relax::cpu
