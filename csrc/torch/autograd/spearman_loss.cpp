#include "torch/operators/spearman_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "core/correlation.h"
#include "core/methods.h"
#include "torch/autograd/differentiable.h"
#include "torch/autograd/on_the_host.h"
#include "torch/correlation.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_rank.h"

// The loss is symmetric in its two sides, so its gradient with respect to the targets is the
// backward operator with the two exchanged.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

struct SpearmanLossBackward {
  static constexpr const char* name = "SpearmanLossBackward";

  /// Saved: predictions, targets and the gradients with respect to the ranks of each. Next edges:
  /// predictions, targets.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(2);
    const Tensor& grad_loss = grad_outputs[0];
    if (!grad_loss.defined()) return gradients;
    const Options options{saved.regularization_strength, saved.method, saved.mask};
    for (const size_t side : {0, 1}) {
      if (!needed[side]) continue;
      gradients[side] =
          operators::spearman_loss_backward(grad_loss, saved.tensors[side], saved.tensors[1 - side],
                                            saved.tensors[2 + side], options);
    }
    return gradients;
  }
};

/// <gradient, tangent of the side that it belongs to>.
Tensor tangent_along(const Tensor& gradient, const Tensor& side, const Options& options) {
  // Infinite and masked items have gradient 0, whatever their tangent holds.
  Tensor ignored = at::isinf(primal(side));
  if (options.mask.has_value()) ignored = ignored.logical_or(options.mask->logical_not());
  return (gradient * tangent(side)).masked_fill(ignored, 0).sum(-1);
}

/// The sum of <∂loss/∂side, tangent of the side> over predictions and targets.
Tensor tangent_of_loss(const Tensor& loss, const variable_list& sides,
                       const variable_list& rank_gradients, const Options& options) {
  Tensor sum;
  for (const size_t side : {0, 1}) {
    if (!has_tangent(sides[side])) continue;
    const Tensor gradient =
        operators::spearman_loss_backward(at::ones_like(loss), primal(sides[side]),
                                          primal(sides[1 - side]), rank_gradients[side], options);
    const Tensor product = tangent_along(gradient, sides[side], options);
    sum = sum.defined() ? sum + product : product;
  }
  return sum;
}

std::tuple<Tensor, Tensor, Tensor> spearman_loss_forward(c10::DispatchKeySet keys,
                                                         const Tensor& predictions,
                                                         const Tensor& targets,
                                                         const Options& options) {
  auto [loss, of_predictions, of_targets] = [&] {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return operators::spearman_loss_forward.redispatch(keys & c10::after_autograd_keyset,
                                                       predictions, targets, options);
  }();
  const variable_list sides{predictions, targets};
  const NodePtr node = node_if_required<SpearmanLossBackward>(
      sides, {predictions, targets, of_predictions, of_targets}, options);
  if (node) torch::autograd::set_history(loss, node);
  if (any_has_tangent(sides)) {
    set_tangent(loss, tangent_of_loss(loss, sides, {of_predictions, of_targets}, options));
  }
  return {loss, of_predictions, of_targets};
}

/// One side of the loss in float64, narrow rows stretched as core/correlation.h does: the point at
/// which its soft ranks are taken, and the factors by which each row was stretched. They are two,
/// since their product may overflow.
struct Stretched {
  Tensor point;
  Tensor first;
  Tensor second;
};

Stretched stretched(const Tensor& side, const Options& options) {
  const Tensor values = side.to(at::kDouble);
  const Tensor fixed = values.detach();
  Tensor finite = at::isfinite(fixed);
  Tensor infinite = at::isinf(fixed);
  if (options.mask.has_value()) {
    finite = finite.logical_and(*options.mask);
    infinite = infinite.logical_and(*options.mask);
  }
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor minimum = fixed.masked_fill(finite.logical_not(), infinity).amin(-1, true);
  const Tensor maximum = fixed.masked_fill(finite.logical_not(), -infinity).amax(-1, true);
  const Tensor spread = maximum - minimum;
  const Tensor wanted = (linear_spread(options.method) / spread).clamp_max(kLargestStrength);
  const Tensor narrow = (spread > 0)
                            .logical_and(wanted > options.regularization_strength)
                            .logical_and(infinite.any(-1, true).logical_not());
  const double inverse = std::min(1 / options.regularization_strength, kLargestStrength);
  const Tensor first = at::where(narrow, wanted, 1);
  const Tensor second = at::ones_like(spread).masked_fill(narrow, inverse);
  const Tensor center = at::where(narrow, minimum, 0);
  return {(values - center) * first * second, first, second};
}

/// The gradient with respect to the predictions by differentiable operators, in float64:
/// core/correlation.h in terms of tensors, from the unit vectors themselves. `b` are the centred
/// ranks of the targets.
Tensor differentiable_backward(const Tensor& grad_output, const Tensor& predictions,
                               const Tensor& b, const Options& options) {
  const Stretched side = stretched(predictions, options);
  const Tensor a = operators::soft_rank_derivative({}, side.point, options);
  const SquaresOfRows squares(a, b);
  const Tensor norm_a = at::sqrt(squares.a);
  const Tensor norm_b = at::sqrt(squares.b);
  const Tensor unit_a = a / norm_a;
  const Tensor delta = b / norm_b - unit_a;
  const Tensor loss = square_of_rows(delta) / 2;
  const Tensor rank_gradient = UnitVectors<Tensor>::scaled_gradient_a(unit_a, delta, loss)
                                   .div(norm_a)
                                   .masked_fill(squares.constant, 0);
  const Tensor gradient = operators::soft_rank_backward(grad_output.unsqueeze(-1) * rank_gradient,
                                                        side.point, options) *
                          side.second * side.first;
  // Every item of a row whose loss is NaN, infinities too, as in the kernel.
  Tensor undefined = loss.isnan().expand_as(gradient);
  if (options.mask.has_value()) undefined = undefined.logical_and(*options.mask);
  return gradient.masked_fill(undefined, std::numeric_limits<double>::quiet_NaN())
      .to(predictions.scalar_type());
}

Tensor spearman_loss_backward(c10::DispatchKeySet keys, const Tensor& grad_output,
                              const Tensor& predictions, const Tensor& targets,
                              const Tensor& rank_gradient, const Options& options) {
  if (is_differentiated({grad_output, predictions, targets})) {
    operators::SpearmanLossBackward::check(grad_output, predictions, targets, rank_gradient,
                                           options);
    if (!has_float64(predictions.device())) {
      return called_on_the_host(operators::spearman_loss_backward, options, grad_output,
                                predictions, targets, rank_gradient);
    }
    if (predictions.sym_size(-1) == 0) {
      return grad_output.unsqueeze(-1) * predictions * targets;  // empty, and depends on all three
    }
    const Tensor point = stretched(targets, options).point;
    return differentiable_backward(grad_output, predictions,
                                   operators::soft_rank_derivative({}, point, options), options);
  }
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  return operators::spearman_loss_backward.redispatch(
      keys & c10::after_autograd_keyset, grad_output, predictions, targets, rank_gradient, options);
}

struct SpearmanLossAtRanksBackward {
  static constexpr const char* name = "SpearmanLossAtRanksBackward";

  /// Saved: predictions, target ranks and the gradient with respect to the predictions' ranks. Next
  /// edge: predictions.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(1);
    if (!needed[0] || !grad_outputs[0].defined()) return gradients;
    gradients[0] = operators::spearman_loss_at_ranks_backward(
        grad_outputs[0], saved.tensors[0], saved.tensors[1], saved.tensors[2],
        {saved.regularization_strength, saved.method, saved.mask});
    return gradients;
  }
};

std::tuple<Tensor, Tensor> spearman_loss_at_ranks_forward(c10::DispatchKeySet keys,
                                                          const Tensor& predictions,
                                                          const Tensor& target_ranks,
                                                          const Options& options) {
  auto [loss, rank_gradient] = below_autograd([&] {
    return operators::spearman_loss_at_ranks_forward.redispatch(keys & c10::after_autograd_keyset,
                                                                predictions, target_ranks, options);
  });
  const NodePtr node = node_if_required<SpearmanLossAtRanksBackward>(
      {predictions}, {predictions, target_ranks, rank_gradient}, options);
  if (node) torch::autograd::set_history(loss, node);
  if (has_tangent(predictions)) {
    const Tensor gradient = operators::spearman_loss_at_ranks_backward(
        at::ones_like(loss), primal(predictions), target_ranks, rank_gradient, options);
    set_tangent(loss, tangent_along(gradient, predictions, options));
  }
  return {loss, rank_gradient};
}

Tensor spearman_loss_at_ranks_backward(c10::DispatchKeySet keys, const Tensor& grad_output,
                                       const Tensor& predictions, const Tensor& target_ranks,
                                       const Tensor& rank_gradient, const Options& options) {
  if (is_differentiated({grad_output, predictions})) {
    operators::SpearmanLossAtRanksBackward::check(grad_output, predictions, target_ranks,
                                                  rank_gradient, options);
    if (!has_float64(predictions.device())) {
      return called_on_the_host(operators::spearman_loss_at_ranks_backward, options, grad_output,
                                predictions, target_ranks, rank_gradient);
    }
    if (predictions.sym_size(-1) == 0) return grad_output.unsqueeze(-1) * predictions;
    Tensor ranks = target_ranks.to(at::kDouble);
    if (options.mask.has_value()) ranks = ranks.masked_fill(options.mask->logical_not(), 0);
    return differentiable_backward(grad_output, predictions, ranks, options);
  }
  return below_autograd([&] {
    return operators::spearman_loss_at_ranks_backward.redispatch(
        keys & c10::after_autograd_keyset, grad_output, predictions, target_ranks, rank_gradient,
        options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::SpearmanLossForward, spearman_loss_forward>(library);
  autograd_kernel<operators::SpearmanLossBackward, spearman_loss_backward>(library);
  autograd_kernel<operators::SpearmanLossAtRanksForward, spearman_loss_at_ranks_forward>(library);
  autograd_kernel<operators::SpearmanLossAtRanksBackward, spearman_loss_at_ranks_backward>(library);
}

}  // namespace rank_relax::autograd
