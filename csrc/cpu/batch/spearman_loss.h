#pragma once

#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "core/correlation.h"
#include "cpu/batch/for_each_row.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/spearman_loss.h"
#include "cpu/sum/correlation.h"
#include "cpu/sum/spearman_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

namespace spearman {

// Beside an infinity the ranks are not linear in the finite values, however narrow these are.
template <class Cdf, class Scalar>
double strength_of(const RowSum<Scalar>& row_sum, double regularization_strength) {
  if (row_sum.items().below() + row_sum.items().above() > 0) return regularization_strength;
  return correlation_strength(regularization_strength, row_sum.items().spread(),
                              Cdf::linear_spread);
}

template <class Cdf, class Scalar>
ForRows<Scalar> strengths_of(const RowsAbreast<Scalar>& rows, double regularization_strength) {
  ForRows<Scalar> strengths;
  for (int row = 0; row < RowsAbreast<Scalar>::kRows; ++row) {
    strengths[row] =
        correlation_strength(regularization_strength, rows.spread(row), Cdf::linear_spread);
  }
  return strengths;
}

/// A row's ranks by one smooth CDF, for spearman_loss_of_row.
template <class Cdf, class Scalar>
struct SmoothRanker {
  RowSum<Scalar>& row_sum;
  Row<uint8_t> mask;
  int64_t size;
  double regularization_strength;
  const ParallelFor& parallel_for;

  void set_row(const Row<Scalar>& values) { row_sum.set_row({values, mask, size}, parallel_for); }
  void rank(Scalar* ranks) {
    row_sum.template centered_ranks<Cdf>(strength_of<Cdf>(row_sum, regularization_strength), ranks,
                                         parallel_for);
  }
  bool masked(int64_t i) const { return row_sum.items().masked(i); }
  int64_t unmasked() const { return row_sum.items().unmasked(); }
  bool all_ranked() const { return row_sum.items().counted() == unmasked(); }
};

template <class Cdf, class Scalar>
bool rank_abreast(RowsAbreast<Scalar>& rows, double regularization_strength, Scalar* ranks) {
  const auto strengths = strengths_of<Cdf>(rows, regularization_strength);
  return rows.template centered_ranks<Cdf>(strengths.data(), 0, ranks);
}

/// False if a rank is NaN.
template <class Scalar>
bool copy_ranks_abreast(const Rows<Scalar>& ranks, int64_t first, int64_t size, Scalar* copies) {
  for (int row = 0; row < RowsAbreast<Scalar>::kRows; ++row, copies += size) {
    if (!copy_ranks(ranks.row(first + row), size, [](int64_t) { return false; }, copies)) {
      return false;
    }
  }
  return true;
}

}  // namespace spearman

}  // namespace rank_relax::cpu::RANK_RELAX_ISA

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SpearmanLossKernels<Set, Scalar>::forward(const SoftBatch<Scalar>& batch,
                                               const Targets<Scalar>& targets, Scalar* loss,
                                               Scalar* rank_gradient_predictions,
                                               Scalar* rank_gradient_targets,
                                               const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    for_each_row<decltype(cdf)>(
        batch, parallel_for,
        [&](int64_t row, RowSum<Scalar>& row_sum, const ParallelFor& in_row) {
          spearman::SmoothRanker<decltype(cdf), Scalar> ranker = {
              row_sum, batch.mask.row(row), batch.size, batch.regularization_strength, in_row};
          loss[row] = spearman_loss_of_row(ranker, targets.row(row), batch.size,
                                           rank_gradient_predictions + row * batch.size,
                                           rank_gradient_targets + row * batch.size, in_row);
        },
        [&](int64_t first, RowsAbreast<Scalar>& rows) {
          Scalar* of_predictions = rank_gradient_predictions + first * batch.size;
          Scalar* of_targets = rank_gradient_targets + first * batch.size;
          if (!spearman::rank_abreast<decltype(cdf)>(rows, batch.regularization_strength,
                                                     of_predictions)) {
            return false;
          }
          if (targets.are_ranks) {
            if (!spearman::copy_ranks_abreast(targets.rows, first, batch.size, of_targets)) {
              return false;
            }
          } else if (!rows.set_rows(targets.rows, first) ||
                     !spearman::rank_abreast<decltype(cdf)>(rows, batch.regularization_strength,
                                                            of_targets)) {
            return false;
          }
          for (int row = 0; row < RowsAbreast<Scalar>::kRows; ++row) {
            loss[first + row] = static_cast<Scalar>(Correlation<Scalar>::loss(
                of_predictions + row * batch.size, of_targets + row * batch.size, batch.size,
                in_this_thread));
          }
          return true;
        });
  });
}

template <class Set, class Scalar>
void SpearmanLossKernels<Set, Scalar>::backward(const SoftBatch<Scalar>& batch,
                                                const Rows<Scalar>& grad_output,
                                                const Rows<Scalar>& rank_gradient, Scalar* output,
                                                const ParallelFor& parallel_for) {
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    for_each_row<decltype(cdf)>(
        batch, parallel_for,
        [&](int64_t row, RowSum<Scalar>& row_sum, const ParallelFor& in_row) {
          const Row<Scalar> direction = rank_gradient.row(row);
          Scalar* gradient = output + row * batch.size;
          row_sum.template derivative<decltype(cdf)>(
              {spearman::strength_of<decltype(cdf)>(row_sum, batch.regularization_strength),
               &direction, 1, grad_output.row(row)[0]},
              gradient, in_row);
          row_sum.spread_nan(direction, gradient);
        },
        [&](int64_t first, RowsAbreast<Scalar>& rows) {
          ForRows<Scalar> factors;
          for (size_t row = 0; row < factors.size(); ++row) {
            factors[row] = grad_output.row(first + static_cast<int64_t>(row))[0];
          }
          const auto strengths =
              spearman::strengths_of<decltype(cdf)>(rows, batch.regularization_strength);
          return rows.template derivative<decltype(cdf), 1>(
              strengths.data(), &rank_gradient, first, factors.data(), output + first * batch.size);
        });
  });
}

}  // namespace rank_relax::cpu
