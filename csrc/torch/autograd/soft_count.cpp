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
// so that every derivative is made of the same operator, at the same order and the next one. Where
// a point counts values of smaller keys, a value is counted by points of larger ones: exchanged,
// both have their keys in the opposite order.

namespace rank_relax::autograd {
namespace {

using at::Tensor;
using operators::Kernel;
using operators::Keys;
using operators::Offsets;

std::optional<Tensor> in_opposite_order(const std::optional<Tensor>& keys) {
  if (!keys.has_value()) return keys;
  // ~k = -k - 1 is in range for every integer.
  return keys->is_floating_point() ? -*keys : keys->bitwise_not();
}

/// What a call is given beside its points, values and weights.
struct Lists {
  Kernel kernel;
  std::optional<Tensor> value_offsets, point_offsets, value_keys, point_keys;

  /// Then they are put in order once.
  bool share_keys() const { return value_keys.has_value() && value_keys->is_same(*point_keys); }

  Kernel at_order(int64_t order) const {
    return {kernel.regularization_strength, kernel.method, order};
  }
  /// S_p, or that of the next order.
  Tensor sum(const Tensor& points, const Tensor& values, const Tensor& weights,
             int more = 0) const {
    return operators::kernel_sum(points, values, weights, at_order(kernel.order + more),
                                 {value_offsets, point_offsets}, {value_keys, point_keys});
  }
  /// The same at the values, of the points.
  Tensor exchanged(const Tensor& points, const Tensor& values, const Tensor& of_points,
                   int more = 0) const {
    const std::optional<Tensor> of_first = in_opposite_order(point_keys);
    const std::optional<Tensor> of_second = share_keys() ? of_first : in_opposite_order(value_keys);
    return operators::kernel_sum(-values, -points, of_points, at_order(kernel.order + more),
                                 {point_offsets, value_offsets}, {of_first, of_second});
  }
};

struct KernelSumBackward {
  static constexpr const char* name = "KernelSumBackward";

  /// Saved: t, x, w, and offsets and keys of values and points, undefined if not given, and the
  /// keys of points if they are those of values; the order is the number. Next edges: t, x, w.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(3);
    if (!grad_outputs[0].defined()) return gradients;
    const Tensor &points = saved.tensors[0], &values = saved.tensors[1];
    const Tensor &weights = saved.tensors[2], &grad = grad_outputs[0];
    const auto given = [&](size_t place) {
      const Tensor& tensor = saved.tensors[place];
      return tensor.defined() ? std::make_optional(tensor) : std::nullopt;
    };
    const Lists lists{
        {saved.regularization_strength, saved.method, static_cast<int64_t>(saved.number)},
        given(3),
        given(4),
        given(5),
        given(saved.tensors[6].defined() ? 6 : 5)};
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
                  const Tensor& weights, const Kernel& kernel, const Offsets& offsets,
                  const Keys& keys_of_items) {
  const Tensor output = below_autograd([&] {
    return operators::kernel_sum.redispatch(keys & c10::after_autograd_keyset, points, values,
                                            weights, kernel, offsets, keys_of_items);
  });
  const variable_list inputs = {points, values, weights};
  SavedValues saved{inputs, std::nullopt, kernel.regularization_strength,
                    std::string(kernel.method)};
  saved.number = static_cast<double>(kernel.order);
  const Lists lists{kernel, offsets.of_values, offsets.of_points, keys_of_items.of_values,
                    keys_of_items.of_points};
  const std::optional<Tensor> other_keys = lists.share_keys() ? std::nullopt : lists.point_keys;
  for (const std::optional<Tensor>& tensor :
       {lists.value_offsets, lists.point_offsets, lists.value_keys, other_keys}) {
    if (!tensor.has_value()) {
      saved.tensors.emplace_back();
    } else {  // keys and offsets may have been made in inference mode, though scores were not
      saved.tensors.push_back(tensor->is_inference() ? tensor->clone() : tensor->detach());
    }
  }
  if (const NodePtr node = node_if_required<KernelSumBackward>(inputs, saved)) {
    torch::autograd::set_history(output, node);
  }
  if (any_has_tangent(inputs)) {
    set_tangent(output, tangent_of(points, values, weights, lists));
  }
  return output;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::KernelSum, kernel_sum>(library);
}

}  // namespace rank_relax::autograd
