#include "torch/operators/soft_quantile.h"

#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <tuple>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/on_the_host.h"
#include "torch/composite/soft_quantile.h"
#include "torch/composite/soft_quantile_at_levels.h"
#include "torch/declaration/kernel.h"

// The formulas stand in torch/composite/soft_quantile_at_levels.h. Where a product is
// differentiated in turn, the points are found again as functions of the input.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

struct SoftQuantileBackward {
  static constexpr const char* name = "SoftQuantileBackward";

  /// Saved: x, q, points, densities. Next edge: x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(1);
    if (!needed[0] || !grad_outputs[0].defined()) return gradients;
    gradients[0] = operators::soft_quantile_backward(
        grad_outputs[0], saved.tensors[0], saved.tensors[1], saved.tensors[2], saved.tensors[3],
        {saved.regularization_strength, saved.method, saved.mask});
    return gradients;
  }
};

std::tuple<Tensor, Tensor, Tensor> soft_quantile_forward(c10::DispatchKeySet keys,
                                                         const Tensor& input, const Tensor& q,
                                                         const Options& options) {
  check_levels_are_constant(q);
  auto [quantiles, points, densities] = below_autograd([&] {
    return operators::soft_quantile_forward.redispatch(keys & c10::after_autograd_keyset, input, q,
                                                       options);
  });
  const NodePtr node =
      node_if_required<SoftQuantileBackward>({input}, {input, q, points, densities}, options);
  if (node) torch::autograd::set_history(quantiles, node);
  if (has_tangent(input)) {
    set_tangent(quantiles, operators::soft_quantile_tangent(tangent(input), primal(input), q,
                                                            points, densities, options));
  }
  return {quantiles, points, densities};
}

Tensor soft_quantile_backward(c10::DispatchKeySet keys, const Tensor& grad_quantiles,
                              const Tensor& input, const Tensor& q, const Tensor& points,
                              const Tensor& densities, const Options& options) {
  if (is_differentiated({grad_quantiles, input})) {
    operators::SoftQuantileBackward::check(grad_quantiles, input, q, points, densities, options);
    if (!has_float64(input.device())) {
      return called_on_the_host(operators::soft_quantile_backward, options, grad_quantiles, input,
                                q, points, densities);
    }
    const soft_quantile::Lists lists = soft_quantile::lists_of(input, q, options);
    return quantile_at_levels::backward(grad_quantiles.to(at::kDouble), lists.values,
                                        lists.points(options), options)
        .to(input.scalar_type());
  }
  return below_autograd([&] {
    return operators::soft_quantile_backward.redispatch(
        keys & c10::after_autograd_keyset, grad_quantiles, input, q, points, densities, options);
  });
}

Tensor soft_quantile_tangent(c10::DispatchKeySet keys, const Tensor& direction, const Tensor& input,
                             const Tensor& q, const Tensor& points, const Tensor& densities,
                             const Options& options) {
  if (is_differentiated({direction, input})) {
    operators::SoftQuantileTangent::check(direction, input, q, points, densities, options);
    if (!has_float64(input.device())) {
      return called_on_the_host(operators::soft_quantile_tangent, options, direction, input, q,
                                points, densities);
    }
    const soft_quantile::Lists lists = soft_quantile::lists_of(input, q, options);
    return quantile_at_levels::tangent(direction.to(at::kDouble), lists.values,
                                       lists.points(options), options)
        .to(input.scalar_type());
  }
  return below_autograd([&] {
    return operators::soft_quantile_tangent.redispatch(keys & c10::after_autograd_keyset, direction,
                                                       input, q, points, densities, options);
  });
}

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
  autograd_kernel<operators::SoftQuantileForward, soft_quantile_forward>(library);
  autograd_kernel<operators::SoftQuantileBackward, soft_quantile_backward>(library);
  autograd_kernel<operators::SoftQuantileTangent, soft_quantile_tangent>(library);
  autograd_kernel<operators::QuantileAtLevels, quantile_at_levels>(library);
  autograd_kernel<operators::QuantileAtLevelsBackward, quantile_at_levels_backward>(library);
  autograd_kernel<operators::QuantileAtLevelsTangent, quantile_at_levels_tangent>(library);
}

}  // namespace rank_relax::autograd
