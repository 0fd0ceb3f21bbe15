#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_own_row.h"
#include "cpu/inverse/soft_topk_row.h"
#include "cpu/soft_topk.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftTopKKernels<Set, Scalar>::forward(const Batch<Scalar>& batch, const Rows<double>& k,
                                           double regularization_strength, std::string_view method,
                                           Scalar* chosen, double* densities,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = TopKRow<decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.choose(batch.input.row(i), batch.mask.row(i), batch.size, k.row(i)[0],
                     regularization_strength, chosen + at, densities + at, in_row);
        });
  });
}

template <class Set, class Scalar>
void SoftTopKKernels<Set, Scalar>::product(const Batch<Scalar>& batch,
                                           const Rows<double>& densities,
                                           double regularization_strength, Scalar* output,
                                           const ParallelFor& parallel_for) {
  using OwnRow = TopKProductRow<Scalar>;
  for_each_own_row<OwnRow>(batch, parallel_for,
                           [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
                             row.multiply(batch.input.row(i), densities.row(i), batch.size,
                                          regularization_strength, output + i * batch.size, in_row);
                           });
}

}  // namespace rank_relax::cpu
