#include "torch/operators/spearman_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/view_copy.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/SymBool.h>
#include <torch/library.h>

#include <limits>
#include <tuple>

#include "torch/any_device/or_on_the_host.h"
#include "torch/any_device/pairwise_sum.h"
#include "torch/correlation.h"
#include "torch/declaration/argument_checks.h"

namespace rank_relax::any_device {
namespace {

using at::Tensor;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// R - 1/2 at a strength that leaves the correlation as it is.
Tensor centered_ranks(const Lists& lists, const Options& options) {
  const Strength strength =
      Strength::for_correlation(lists, options.regularization_strength, options.method);
  return pairwise_sum({}, lists, strength, options.method) / lists.others();
}

struct Correlation {
  Tensor loss;  // [rows, 1]
  Tensor gradient_a, gradient_b;
};

/// 1 - ρ of rows that sum to zero, and its gradients (core/correlation.h).
Correlation correlation(const Tensor& a, const Tensor& b) {
  const SquaresOfRows squares(a, b);
  const auto units = UnitVectors<Tensor>::of(squares.a.rsqrt(), squares.b.rsqrt());
  const Tensor delta = units.difference(a, b);
  const Tensor loss = (square_of_rows(delta) / 2).clamp_max(2);
  return {loss.masked_fill(squares.constant, 1),
          units.gradient_a(a, delta, loss).masked_fill(squares.constant, 0),
          units.gradient_b(b, delta, loss).masked_fill(squares.constant, 0)};
}

/// Of a forward, from its table of lists: `counted` are the pairs without NaN.
std::tuple<Tensor, Tensor, Tensor> outputs_of(const Correlation& ranks, const Tensor& predictions,
                                              const Tensor& kept, const Tensor& counted) {
  const Tensor undefined = kept.logical_and(counted.logical_not()).any(-1, true);
  const Tensor few = kept.sum(-1, true).le(1);
  const Tensor loss = ranks.loss.masked_fill(few, 0).masked_fill(undefined, kNaN);
  const auto rank_gradient = [&](const Tensor& gradient) {
    const Tensor table = at::where(kept, gradient.masked_fill(undefined, kNaN), 0);
    return at::view_copy_symint(table, predictions.sym_sizes());
  };
  const auto batch_shape = predictions.sym_sizes().slice(0, predictions.dim() - 1);
  return {at::view_copy_symint(loss.to(predictions.scalar_type()), batch_shape),
          rank_gradient(ranks.gradient_a), rank_gradient(ranks.gradient_b)};
}

std::tuple<Tensor, Tensor, Tensor> spearman_loss_forward(const Tensor& predictions,
                                                         const Tensor& targets,
                                                         const Options& options) {
  const auto batch_shape = predictions.sym_sizes().slice(0, predictions.dim() - 1);
  if (TORCH_GUARD_OR_FALSE(predictions.sym_numel().sym_eq(0))) {
    const auto statistics = predictions.options().dtype(statistics_dtype(predictions));
    return {at::zeros_symint(batch_shape, predictions.options()),
            at::empty_symint(predictions.sym_sizes(), statistics),
            at::empty_symint(predictions.sym_sizes(), statistics)};
  }
  const Lists left(predictions, options.mask), right(targets, options.mask);
  return outputs_of(correlation(centered_ranks(left, options), centered_ranks(right, options)),
                    predictions, left.kept, left.counted.logical_and(right.counted));
}

std::tuple<Tensor, Tensor> spearman_loss_at_ranks_forward(const Tensor& predictions,
                                                          const Tensor& target_ranks,
                                                          const Options& options) {
  if (TORCH_GUARD_OR_FALSE(predictions.sym_numel().sym_eq(0))) {
    const auto batch_shape = predictions.sym_sizes().slice(0, predictions.dim() - 1);
    return {at::zeros_symint(batch_shape, predictions.options()),
            at::empty_symint(predictions.sym_sizes(), target_ranks.options())};
  }
  const Lists left(predictions, options.mask);
  const Tensor given = rows(target_ranks).masked_fill(left.kept.logical_not(), 0);
  const auto [loss, rank_gradient, of_targets] =
      outputs_of(correlation(centered_ranks(left, options), given), predictions, left.kept,
                 left.counted.logical_and(at::isnan(given).logical_not()));
  return {loss, rank_gradient};
}

Tensor gradient_of(const Tensor& grad_output, const Tensor& predictions,
                   const Tensor& rank_gradient, const Options& options) {
  if (TORCH_GUARD_OR_FALSE(predictions.sym_numel().sym_eq(0))) {
    return at::empty_symint(predictions.sym_sizes(), predictions.options());
  }
  const Lists lists(predictions, options.mask);
  const Tensor direction = rows(rank_gradient);
  const Tensor sums = pairwise_sum({direction}, lists,
                                   Strength::for_correlation(lists, options.regularization_strength,
                                                             options.method),
                                   options.method) /
                      lists.others();
  const Tensor scale =
      at::view_copy_symint(grad_output.contiguous().to(sums.scalar_type()), {-1, 1});
  // Every item of a row whose loss is NaN, infinities too.
  const Tensor undefined = lists.kept.logical_and(at::isnan(direction));
  const Tensor gradient = (scale * sums).masked_fill(undefined, kNaN);
  return at::view_copy_symint(gradient.to(predictions.scalar_type()), predictions.sym_sizes());
}

Tensor spearman_loss_backward(const Tensor& grad_output, const Tensor& predictions, const Tensor&,
                              const Tensor& rank_gradient, const Options& options) {
  return gradient_of(grad_output, predictions, rank_gradient, options);
}

Tensor spearman_loss_at_ranks_backward(const Tensor& grad_output, const Tensor& predictions,
                                       const Tensor&, const Tensor& rank_gradient,
                                       const Options& options) {
  return gradient_of(grad_output, predictions, rank_gradient, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeExplicitAutograd, library) {
  kernel_by_method<operators::SpearmanLossForward, spearman_loss_forward>(library);
  kernel_by_method<operators::SpearmanLossBackward, spearman_loss_backward>(library);
  kernel_by_method<operators::SpearmanLossAtRanksForward, spearman_loss_at_ranks_forward>(library);
  kernel_by_method<operators::SpearmanLossAtRanksBackward, spearman_loss_at_ranks_backward>(
      library);
}

}  // namespace rank_relax::any_device
