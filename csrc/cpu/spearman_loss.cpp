#include "cpu/spearman_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/correlation.h"
#include "core/smooth_cdf.h"
#include "cpu/for_each_row.h"

namespace rank_relax::cpu {
namespace {

// Beside an infinity the ranks are not linear in the finite values, however narrow these are.
template <class Scalar>
double strength_of(const RowSum<Scalar>& row_sum, double regularization_strength) {
  if (row_sum.has_infinities()) return regularization_strength;
  return correlation_strength(regularization_strength, row_sum.spread());
}

template <class Cdf, class Scalar>
void write_centered_ranks(RowSum<Scalar>& row_sum, double regularization_strength,
                          std::vector<double>& ranks) {
  row_sum.template centered_ranks<Cdf>(strength_of(row_sum, regularization_strength),
                                       [&](int64_t i, Kind, double rank) { ranks[i] = rank; });
}

/// The loss of one row from the centred ranks of both sides; their gradients take their place.
template <class Scalar>
double loss_of_row(const RowSum<Scalar>& row_sum, std::vector<double>& predictions,
                   std::vector<double>& targets) {
  const auto is_nan = [](double rank) { return std::isnan(rank); };
  const bool undefined = std::any_of(predictions.begin(), predictions.end(), is_nan) ||
                         std::any_of(targets.begin(), targets.end(), is_nan);
  if (undefined) {
    for (size_t i = 0; i < predictions.size(); ++i) {
      const bool masked = row_sum.kind(static_cast<int64_t>(i)) == Kind::kMasked;
      predictions[i] = targets[i] = masked ? 0 : std::numeric_limits<double>::quiet_NaN();
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
  const double loss = correlation_loss(predictions.data(), targets.data(),
                                       static_cast<int64_t>(predictions.size()));
  return row_sum.unmasked() > 1 ? loss : 0;
}

}  // namespace

template <class Scalar>
void spearman_loss_forward(const Batch<Scalar>& batch, const Rows<Scalar>& targets,
                           double regularization_strength, std::string_view method, Scalar* loss,
                           Scalar* rank_gradient_predictions, Scalar* rank_gradient_targets,
                           const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    for_each_row(batch, parallel_for, [&](int64_t row, RowSum<Scalar>& row_sum) {
      std::vector<double> prediction_ranks(batch.size), target_ranks(batch.size);
      write_centered_ranks<Cdf>(row_sum, regularization_strength, prediction_ranks);
      row_sum.set_row(targets.row(row), batch.mask.row(row), batch.size);
      write_centered_ranks<Cdf>(row_sum, regularization_strength, target_ranks);
      loss[row] = static_cast<Scalar>(loss_of_row(row_sum, prediction_ranks, target_ranks));
      for (int64_t i = 0; i < batch.size; ++i) {
        rank_gradient_predictions[row * batch.size + i] = static_cast<Scalar>(prediction_ranks[i]);
        rank_gradient_targets[row * batch.size + i] = static_cast<Scalar>(target_ranks[i]);
      }
    });
  });
}

template <class Scalar>
void spearman_loss_backward(const Batch<Scalar>& batch, const Rows<Scalar>& grad_output,
                            const Rows<Scalar>& rank_gradient, double regularization_strength,
                            std::string_view method, Scalar* output,
                            const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    for_each_row(batch, parallel_for, [&](int64_t row, RowSum<Scalar>& row_sum) {
      const Row<Scalar> direction = rank_gradient.row(row);
      const double scale = grad_output.row(row)[0];
      Scalar* gradient = output + row * batch.size;
      row_sum.template derivative<decltype(cdf)>(
          strength_of(row_sum, regularization_strength), &direction, 1,
          [=](int64_t i, Kind kind, double value) {
            // The product with 0 makes NaN of every item of a row whose loss is NaN.
            const double with_nan = value + 0 * static_cast<double>(direction[i]);
            gradient[i] = static_cast<Scalar>(kind == Kind::kMasked ? 0 : scale * with_nan);
          });
    });
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                         \
  template void spearman_loss_forward(const Batch<Scalar>&, const Rows<Scalar>&, double,       \
                                      std::string_view, Scalar*, Scalar*, Scalar*,             \
                                      const ParallelFor&);                                     \
  template void spearman_loss_backward(const Batch<Scalar>&, const Rows<Scalar>&,              \
                                       const Rows<Scalar>&, double, std::string_view, Scalar*, \
                                       const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
