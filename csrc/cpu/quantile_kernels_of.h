#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/inverse/quantile_row.h"
#include "cpu/inverse/quantile_sort_product.h"
#include "cpu/inverse/topk_row.h"
#include "cpu/parallel.h"
#include "cpu/quantile_kernels.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

/// visit(row index, own row, parallel_for) for every row of a batch: short rows in parallel, long
/// ones one after the other, to be split by visit. Each range of rows has an `OwnRow`.
template <class OwnRow, class Scalar, class Visit>
void for_each_own_row(const Batch<Scalar>& batch, const ParallelFor& parallel_for,
                      const Visit& visit) {
  constexpr int64_t kLongRow = 1 << 16;
  constexpr int64_t kItemsWorthAThread = 1 << 11;
  if (batch.count == 0) return;
  if (batch.size >= kLongRow) {
    OwnRow row;
    for (int64_t i = 0; i < batch.count; ++i) visit(i, row, parallel_for);
    return;
  }
  const int64_t grain = std::max<int64_t>(kItemsWorthAThread / std::max<int64_t>(batch.size, 1), 1);
  parallel_for(batch.count, grain, [&](int64_t begin, int64_t end) {
    OwnRow row;
    for (int64_t i = begin; i < end; ++i) visit(i, row, in_this_thread);
  });
}

template <class Isa, class Scalar>
void QuantileKernels<Isa, Scalar>::sort(const Batch<Scalar>& batch, double regularization_strength,
                                        std::string_view method, Scalar* values, double* points,
                                        double* densities, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = QuantileSortRow<Isa, decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.sort(batch.input.row(i), batch.mask.row(i), batch.size, regularization_strength,
                   values + at, points == nullptr ? nullptr : points + at,
                   densities == nullptr ? nullptr : densities + at, in_row);
        });
  });
}

template <class Isa, class Scalar>
void QuantileKernels<Isa, Scalar>::sort_product(const Batch<Scalar>& batch, const double* points,
                                                const double* densities, const Rows<Scalar>& vector,
                                                bool transposed, double regularization_strength,
                                                std::string_view method, Scalar* output,
                                                const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = QuantileSortProductRow<Isa, decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.set_row(batch.input.row(i), batch.mask.row(i), batch.size, points + at,
                      densities + at, in_row);
          if (transposed) {
            row.to_items(vector.row(i), regularization_strength, output + at, in_row);
          } else {
            row.to_places(vector.row(i), regularization_strength, output + at, in_row);
          }
        });
  });
}

template <class Isa, class Scalar>
void QuantileKernels<Isa, Scalar>::at_levels(const Batch<Scalar>& batch, const Rows<double>& levels,
                                             int64_t level_count, double regularization_strength,
                                             std::string_view method, double* points,
                                             const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = QuantileLevelsRow<Isa, decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          row.find(batch.input.row(i), batch.mask.row(i), batch.size, levels.row(i), level_count,
                   regularization_strength, points + i * level_count, in_row);
        });
  });
}

template <class Isa, class Scalar>
void QuantileKernels<Isa, Scalar>::topk(const Batch<Scalar>& batch, const Rows<double>& k,
                                        double regularization_strength, std::string_view method,
                                        Scalar* chosen, double* densities,
                                        const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using OwnRow = TopKRow<Isa, decltype(cdf), Scalar>;
    for_each_own_row<OwnRow>(
        batch, parallel_for, [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
          const int64_t at = i * batch.size;
          row.choose(batch.input.row(i), batch.mask.row(i), batch.size, k.row(i)[0],
                     regularization_strength, chosen + at, densities + at, in_row);
        });
  });
}

template <class Isa, class Scalar>
void QuantileKernels<Isa, Scalar>::topk_product(const Batch<Scalar>& batch,
                                                const Rows<double>& densities,
                                                double regularization_strength, Scalar* output,
                                                const ParallelFor& parallel_for) {
  using OwnRow = TopKProductRow<Isa, Scalar>;
  for_each_own_row<OwnRow>(batch, parallel_for,
                           [&](int64_t i, OwnRow& row, const ParallelFor& in_row) {
                             row.multiply(batch.input.row(i), densities.row(i), batch.size,
                                          regularization_strength, output + i * batch.size, in_row);
                           });
}

}  // namespace rank_relax::cpu
