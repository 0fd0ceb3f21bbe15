#pragma once

#include <array>
#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/for_each_row.h"
#include "cpu/soft_rank.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftRankKernels<Set, Scalar>::forward(const SoftBatch<Scalar>& batch, Scalar* output,
                                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    for_each_row<decltype(cdf)>(
        batch, parallel_for,
        [&](int64_t row, RowSum<Scalar>& row_sum, const ParallelFor& in_row) {
          row_sum.template ranks<decltype(cdf)>(batch.regularization_strength,
                                                output + row * batch.size, in_row);
        },
        [&](int64_t first, RowsAbreast<Scalar>& rows) {
          const auto strengths = for_rows<Scalar>(batch.regularization_strength);
          return rows.template centered_ranks<decltype(cdf)>(strengths.data(), Scalar(0.5),
                                                             output + first * batch.size);
        });
  });
}

template <class Set, class Scalar>
void SoftRankKernels<Set, Scalar>::derivative(const SoftBatch<Scalar>& batch,
                                              const Rows<Scalar>* directions, int order,
                                              Scalar* output, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    for_each_row<decltype(cdf)>(
        batch, parallel_for,
        [&](int64_t row, RowSum<Scalar>& row_sum, const ParallelFor& in_row) {
          Scalar* derivative = output + row * batch.size;
          if (order == 0) {
            row_sum.template centered_ranks<Cdf>(batch.regularization_strength, derivative, in_row);
            return;
          }
          std::array<Row<Scalar>, SmoothCdfs::kMaxOrder> rows;
          for (int l = 0; l < order; ++l) rows[l] = directions[l].row(row);
          row_sum.template derivative<Cdf>({batch.regularization_strength, rows.data(), order, 1},
                                           derivative, in_row);
        },
        [&](int64_t first, RowsAbreast<Scalar>& rows) {
          const auto strengths = for_rows<Scalar>(batch.regularization_strength);
          const auto factors = for_rows<Scalar>(1);
          Scalar* derivatives = output + first * batch.size;
          if (order == 0) {
            return rows.template centered_ranks<Cdf>(strengths.data(), 0, derivatives);
          } else if (order == 1) {
            return rows.template derivative<Cdf, 1>(strengths.data(), directions, first,
                                                    factors.data(), derivatives);
          } else if (order == 2) {
            return rows.template derivative<Cdf, 2>(strengths.data(), directions, first,
                                                    factors.data(), derivatives);
          }
          return false;
        });
  });
}

}  // namespace rank_relax::cpu
