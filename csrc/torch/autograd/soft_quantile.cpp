#include "torch/operators/soft_quantile.h"

#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include "torch/autograd/differentiable.h"
#include "torch/composite/soft_quantile_at_levels.h"
#include "torch/declaration/kernel.h"

// The formulas stand in torch/composite/soft_quantile_at_levels.h. Where a product is
// differentiated in turn, the points are found again as functions of the input.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

struct QuantileAtLevelsBackward {
  static constexpr const char* name = "QuantileAtLevelsBackward";

  /// Saved: x, levels, points. Next edge: x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(1);
    if (!needed[0] || !grad_outputs[0].defined()) return gradients;
    gradients[0] = operators::quantile_at_levels_backward(
        grad_outputs[0], saved.tensors[0], saved.tensors[1], saved.tensors[2],
        {saved.regularization_strength, saved.method, saved.mask});
    return gradients;
  }
};

Tensor quantile_at_levels(c10::DispatchKeySet keys, const Tensor& input, const Tensor& levels,
                          const Options& options) {
  check_levels_are_constant(levels);
  const Tensor points = below_autograd([&] {
    return operators::quantile_at_levels.redispatch(keys & c10::after_autograd_keyset, input,
                                                    levels, options);
  });
  // What is saved must not be the output: a node that holds it would hold itself.
  const Tensor saved = is_differentiated({input}) ? points.detach() : points;
  const NodePtr node =
      node_if_required<QuantileAtLevelsBackward>({input}, {input, levels, saved}, options);
  if (node) torch::autograd::set_history(points, node);
  if (has_tangent(input)) {
    set_tangent(points, operators::quantile_at_levels_tangent(tangent(input), primal(input), levels,
                                                              saved, options));
  }
  return points;
}

Tensor quantile_at_levels_backward(c10::DispatchKeySet keys, const Tensor& grad_points,
                                   const Tensor& input, const Tensor& levels, const Tensor& points,
                                   const Options& options) {
  if (is_differentiated({grad_points, input})) {
    operators::QuantileAtLevelsBackward::check(grad_points, input, levels, points, options);
    const Tensor values = input.to(at::kDouble);
    return rank_relax::quantile_at_levels::backward(
               grad_points, values, operators::quantile_at_levels(values, levels, options), options)
        .to(input.scalar_type());
  }
  return below_autograd([&] {
    return operators::quantile_at_levels_backward.redispatch(
        keys & c10::after_autograd_keyset, grad_points, input, levels, points, options);
  });
}

Tensor quantile_at_levels_tangent(c10::DispatchKeySet keys, const Tensor& direction,
                                  const Tensor& input, const Tensor& levels, const Tensor& points,
                                  const Options& options) {
  if (is_differentiated({direction, input})) {
    operators::QuantileAtLevelsTangent::check(direction, input, levels, points, options);
    const Tensor values = input.to(at::kDouble);
    return rank_relax::quantile_at_levels::tangent(
        direction.to(at::kDouble), values, operators::quantile_at_levels(values, levels, options),
        options);
  }
  return below_autograd([&] {
    return operators::quantile_at_levels_tangent.redispatch(
        keys & c10::after_autograd_keyset, direction, input, levels, points, options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::QuantileAtLevels, quantile_at_levels>(library);
  autograd_kernel<operators::QuantileAtLevelsBackward, quantile_at_levels_backward>(library);
  autograd_kernel<operators::QuantileAtLevelsTangent, quantile_at_levels_tangent>(library);
}

}  // namespace rank_relax::autograd
