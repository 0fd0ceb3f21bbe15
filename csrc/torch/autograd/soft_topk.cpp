#include "torch/composite/soft_topk.h"

#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <tuple>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/on_the_host.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_topk.h"

// The formulas are those of torch/composite/soft_topk.h. The Jacobian is symmetric, so that the
// tangent is the backward of the direction. Where that is differentiated in turn, the densities are
// found again as functions of the input.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

struct SoftTopKBackward {
  static constexpr const char* name = "SoftTopKBackward";

  /// Saved: x, k, densities. Next edge: x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(1);
    if (!needed[0] || !grad_outputs[0].defined()) return gradients;
    gradients[0] = operators::soft_topk_backward(
        grad_outputs[0], saved.tensors[0], saved.tensors[1], saved.tensors[2],
        {saved.regularization_strength, saved.method, saved.mask});
    return gradients;
  }
};

std::tuple<Tensor, Tensor> soft_topk_forward(c10::DispatchKeySet keys, const Tensor& input,
                                             const Tensor& k, const Options& options) {
  check_levels_are_constant(k);
  auto [chosen, densities] = below_autograd([&] {
    return operators::soft_topk_forward.redispatch(keys & c10::after_autograd_keyset, input, k,
                                                   options);
  });
  const NodePtr node = node_if_required<SoftTopKBackward>({input}, {input, k, densities}, options);
  if (node) torch::autograd::set_history(chosen, node);
  if (has_tangent(input)) {
    set_tangent(chosen, operators::soft_topk_backward(tangent(input), primal(input), k, densities,
                                                      options));
  }
  return {chosen, densities};
}

Tensor soft_topk_backward(c10::DispatchKeySet keys, const Tensor& grad_output, const Tensor& input,
                          const Tensor& k, const Tensor& densities, const Options& options) {
  if (is_differentiated({grad_output, input})) {
    operators::SoftTopKBackward::check(grad_output, input, k, densities, options);
    if (!has_float64(input.device())) {
      return called_on_the_host(operators::soft_topk_backward, options, grad_output, input, k,
                                densities);
    }
    const Tensor of_input = std::get<1>(topk::forward(input, k, options));
    return topk::backward(grad_output, of_input, options.regularization_strength)
        .to(input.scalar_type());
  }
  return below_autograd([&] {
    return operators::soft_topk_backward.redispatch(keys & c10::after_autograd_keyset, grad_output,
                                                    input, k, densities, options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::SoftTopKForward, soft_topk_forward>(library);
  autograd_kernel<operators::SoftTopKBackward, soft_topk_backward>(library);
}

}  // namespace rank_relax::autograd
