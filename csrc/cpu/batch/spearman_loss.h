#pragma once

#include <cstdint>
#include <limits>

#include "core/cdf/smooth_cdfs.h"
#include "core/correlation.h"
#include "cpu/batch/for_each_row.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/spearman_loss.h"
#include "cpu/sum/correlation.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

namespace spearman {

// Beside an infinity the ranks are not linear in the finite values, however narrow these are.
template <class Scalar>
double strength_of(const RowSum<Scalar>& row_sum, double regularization_strength) {
  if (row_sum.items().below() + row_sum.items().above() > 0) return regularization_strength;
  return correlation_strength(regularization_strength, row_sum.items().spread());
}

template <class Scalar>
ForRows<Scalar> strengths_of(const RowsAbreast<Scalar>& rows, double regularization_strength) {
  ForRows<Scalar> strengths;
  for (int row = 0; row < RowsAbreast<Scalar>::kRows; ++row) {
    strengths[row] = correlation_strength(regularization_strength, rows.spread(row));
  }
  return strengths;
}

}  // namespace spearman

}  // namespace rank_relax::cpu::RANK_RELAX_ISA

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SpearmanLossKernels<Set, Scalar>::forward(
    const Batch<Scalar>& batch, const Targets<Scalar>& targets, double regularization_strength,
    std::string_view method, Scalar* loss, Scalar* rank_gradient_predictions,
    Scalar* rank_gradient_targets, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    for_each_row(
        batch, parallel_for,
        [&](int64_t row, RowSum<Scalar>& row_sum, const ParallelFor& in_row) {
          // The centred ranks of both sides; their gradients take their place.
          Scalar* sides[] = {rank_gradient_predictions + row * batch.size,
                             rank_gradient_targets + row * batch.size};
          const auto masked = [&](int64_t i) { return row_sum.items().masked(i); };
          bool defined = true;
          for (Scalar* side : sides) {
            if (side == sides[1] && targets.are_ranks) {
              defined = copy_ranks(targets.rows.row(row), batch.size, masked, side) && defined;
              continue;
            }
            if (side == sides[1]) {
              row_sum.set_row(targets.rows.row(row), batch.mask.row(row), batch.size, in_row);
            }
            row_sum.template centered_ranks<decltype(cdf)>(
                spearman::strength_of(row_sum, regularization_strength), side, in_row);
            defined = defined && row_sum.items().counted() == row_sum.items().unmasked();
          }
          if (!defined) {
            for (Scalar* side : sides) make_undefined(batch.size, masked, side);
            loss[row] = std::numeric_limits<Scalar>::quiet_NaN();
            return;
          }
          const double of_ranks = Correlation<Scalar>::loss(sides[0], sides[1], batch.size, in_row);
          loss[row] = row_sum.items().unmasked() > 1 ? static_cast<Scalar>(of_ranks) : Scalar(0);
        },
        [&](int64_t first, RowsAbreast<Scalar>& rows) {
          Scalar* sides[] = {rank_gradient_predictions + first * batch.size,
                             rank_gradient_targets + first * batch.size};
          for (Scalar* side : sides) {
            if (side == sides[1] && targets.are_ranks) {
              const auto none_masked = [](int64_t) { return false; };
              for (int row = 0; row < RowsAbreast<Scalar>::kRows; ++row) {
                if (!copy_ranks(targets.rows.row(first + row), batch.size, none_masked,
                                side + row * batch.size)) {
                  return false;
                }
              }
              continue;
            }
            if (side == sides[1] && !rows.set_rows(targets.rows, first, batch.size)) return false;
            const auto strengths = spearman::strengths_of(rows, regularization_strength);
            if (!rows.template centered_ranks<decltype(cdf)>(strengths.data(), 0, side)) {
              return false;
            }
          }
          for (int row = 0; row < RowsAbreast<Scalar>::kRows; ++row) {
            loss[first + row] = static_cast<Scalar>(
                Correlation<Scalar>::loss(sides[0] + row * batch.size, sides[1] + row * batch.size,
                                          batch.size, in_this_thread));
          }
          return true;
        });
  });
}

template <class Set, class Scalar>
void SpearmanLossKernels<Set, Scalar>::backward(const Batch<Scalar>& batch,
                                                const Rows<Scalar>& grad_output,
                                                const Rows<Scalar>& rank_gradient,
                                                double regularization_strength,
                                                std::string_view method, Scalar* output,
                                                const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    for_each_row(
        batch, parallel_for,
        [&](int64_t row, RowSum<Scalar>& row_sum, const ParallelFor& in_row) {
          const Row<Scalar> direction = rank_gradient.row(row);
          Scalar* gradient = output + row * batch.size;
          row_sum.template derivative<decltype(cdf)>(
              spearman::strength_of(row_sum, regularization_strength), &direction, 1,
              grad_output.row(row)[0], gradient, in_row);
          row_sum.spread_nan(direction, gradient);
        },
        [&](int64_t first, RowsAbreast<Scalar>& rows) {
          ForRows<Scalar> factors;
          for (size_t row = 0; row < factors.size(); ++row) {
            factors[row] = grad_output.row(first + static_cast<int64_t>(row))[0];
          }
          const auto strengths = spearman::strengths_of(rows, regularization_strength);
          return rows.template derivative<decltype(cdf), 1>(
              strengths.data(), &rank_gradient, first, factors.data(), output + first * batch.size);
        });
  });
}

}  // namespace rank_relax::cpu
