#include "torch/composite/soft_sort_by_cdf.h"

#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <tuple>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/on_the_host.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_sort.h"

// The formulas stand in torch/composite/soft_sort_by_cdf.h. Where a product is differentiated in
// turn, points and densities are found again as functions of the input.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

struct QuantileSortBackward {
  static constexpr const char* name = "QuantileSortBackward";

  /// Saved: x, points, densities. Next edge: x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(1);
    if (!needed[0] || !grad_outputs[0].defined()) return gradients;
    gradients[0] = operators::quantile_sort_backward(
        grad_outputs[0], saved.tensors[0], saved.tensors[1], saved.tensors[2],
        {saved.regularization_strength, saved.method, saved.mask});
    return gradients;
  }
};

std::tuple<Tensor, Tensor, Tensor> quantile_sort_forward(c10::DispatchKeySet keys,
                                                         const Tensor& input,
                                                         const Options& options) {
  auto [values, points, densities] = below_autograd([&] {
    return operators::quantile_sort_forward.redispatch(keys & c10::after_autograd_keyset, input,
                                                       options);
  });
  const NodePtr node =
      node_if_required<QuantileSortBackward>({input}, {input, points, densities}, options);
  if (node) torch::autograd::set_history(values, node);
  if (has_tangent(input)) {
    set_tangent(values, operators::quantile_sort_tangent(tangent(input), primal(input), points,
                                                         densities, options));
  }
  return {values, points, densities};
}

Tensor quantile_sort_backward(c10::DispatchKeySet keys, const Tensor& grad_output,
                              const Tensor& input, const Tensor& points, const Tensor& densities,
                              const Options& options) {
  if (is_differentiated({grad_output, input})) {
    operators::QuantileSortBackward::check(grad_output, input, points, densities, options);
    if (!has_float64(input.device())) {
      return called_on_the_host(operators::quantile_sort_backward, options, grad_output, input,
                                points, densities);
    }
    return quantile_sort::backward(
               grad_output, quantile_sort::differentiable_point(input, densities, options), options)
        .to(input.scalar_type());
  }
  return below_autograd([&] {
    return operators::quantile_sort_backward.redispatch(
        keys & c10::after_autograd_keyset, grad_output, input, points, densities, options);
  });
}

Tensor quantile_sort_tangent(c10::DispatchKeySet keys, const Tensor& direction, const Tensor& input,
                             const Tensor& points, const Tensor& densities,
                             const Options& options) {
  if (is_differentiated({direction, input})) {
    operators::QuantileSortTangent::check(direction, input, points, densities, options);
    if (!has_float64(input.device())) {
      return called_on_the_host(operators::quantile_sort_tangent, options, direction, input, points,
                                densities);
    }
    return quantile_sort::tangent(
               direction, quantile_sort::differentiable_point(input, densities, options), options)
        .to(input.scalar_type());
  }
  return below_autograd([&] {
    return operators::quantile_sort_tangent.redispatch(keys & c10::after_autograd_keyset, direction,
                                                       input, points, densities, options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::QuantileSortForward, quantile_sort_forward>(library);
  autograd_kernel<operators::QuantileSortBackward, quantile_sort_backward>(library);
  autograd_kernel<operators::QuantileSortTangent, quantile_sort_tangent>(library);
}

}  // namespace rank_relax::autograd
