#include "torch/operators/soft_count.h"

#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <optional>
#include <string>
#include <utility>

#include "torch/autograd/differentiable.h"
#include "torch/declaration/kernel.h"

// With S_p[w](t; x) = α^p Σ_j w_j K_p(α (t - x_j)) for the order p, and since t - x = -x - (-t),
//
//     ∂S_p/∂t:      S_(p+1)[w](t; x) at each point
//     <g, S_p[w]>   as a function of w has the gradient S_p[g](-x; -t), points and values
//     exchanged,
//                   and as one of x_j            -w_j S_(p+1)[g](-x; -t)
//
// so that every derivative is made of the same operator, at the same order and the next one.

namespace rank_relax::autograd {
namespace {

using at::Tensor;
using operators::Kernel;
using operators::Offsets;

/// What a call is given beside its points, values and weights.
struct Lists {
  Kernel kernel;
  std::optional<Tensor> value_offsets, point_offsets;

  Kernel at_order(int64_t order) const {
    return {kernel.regularization_strength, kernel.method, order};
  }
  /// S_p, or that of the next order.
  Tensor sum(const Tensor& points, const Tensor& values, const Tensor& weights,
             int more = 0) const {
    return operators::kernel_sum(points, values, weights, at_order(kernel.order + more),
                                 {value_offsets, point_offsets});
  }
  /// The same at the values, of the points.
  Tensor exchanged(const Tensor& points, const Tensor& values, const Tensor& of_points,
                   int more = 0) const {
    return operators::kernel_sum(-values, -points, of_points, at_order(kernel.order + more),
                                 {point_offsets, value_offsets});
  }
};

struct KernelSumBackward {
  static constexpr const char* name = "KernelSumBackward";

  /// Saved: t, x, w, and both offsets if given; the order is the number. Next edges: t, x, w.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(3);
    if (!grad_outputs[0].defined()) return gradients;
    const Tensor &points = saved.tensors[0], &values = saved.tensors[1];
    const Tensor &weights = saved.tensors[2], &grad = grad_outputs[0];
    Lists lists{{saved.regularization_strength, saved.method, static_cast<int64_t>(saved.number)},
                std::nullopt,
                std::nullopt};
    if (saved.tensors.size() > 3) {
      lists.value_offsets = saved.tensors[3];
      lists.point_offsets = saved.tensors[4];
    }
    if (needed[0]) gradients[0] = (grad * lists.sum(points, values, weights, 1)).sum(-2);
    if (needed[1]) gradients[1] = -(weights * lists.exchanged(points, values, grad, 1)).sum(-2);
    if (needed[2]) gradients[2] = lists.exchanged(points, values, grad);
    return gradients;
  }
};

Tensor tangent_of(const Tensor& points, const Tensor& values, const Tensor& weights,
                  const Lists& lists) {
  const Tensor t = primal(points), x = primal(values), w = primal(weights);
  Tensor sum;
  const auto add = [&](const Tensor& term) { sum = sum.defined() ? sum + term : term; };
  if (has_tangent(points)) add(lists.sum(t, x, w, 1) * tangent(points).unsqueeze(-2));
  if (has_tangent(values)) add(-lists.sum(t, x, w * tangent(values).unsqueeze(-2), 1));
  if (has_tangent(weights)) add(lists.sum(t, x, tangent(weights)));
  return sum;
}

Tensor kernel_sum(c10::DispatchKeySet keys, const Tensor& points, const Tensor& values,
                  const Tensor& weights, const Kernel& kernel, const Offsets& offsets) {
  const Tensor output = below_autograd([&] {
    return operators::kernel_sum.redispatch(keys & c10::after_autograd_keyset, points, values,
                                            weights, kernel, offsets);
  });
  const variable_list inputs = {points, values, weights};
  SavedValues saved{inputs, std::nullopt, kernel.regularization_strength,
                    std::string(kernel.method)};
  saved.number = static_cast<double>(kernel.order);
  if (offsets.of_values.has_value()) {
    saved.tensors.push_back(*offsets.of_values);
    saved.tensors.push_back(*offsets.of_points);
  }
  if (const NodePtr node = node_if_required<KernelSumBackward>(inputs, saved)) {
    torch::autograd::set_history(output, node);
  }
  if (any_has_tangent(inputs)) {
    set_tangent(output, tangent_of(points, values, weights,
                                   {kernel, offsets.of_values, offsets.of_points}));
  }
  return output;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::KernelSum, kernel_sum>(library);
}

}  // namespace rank_relax::autograd
