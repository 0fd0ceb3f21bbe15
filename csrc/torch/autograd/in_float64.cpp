#include "torch/operators/in_float64.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/alias.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/function_call.h"
#include "torch/autograd/on_the_host.h"
#include "torch/declaration/kernel.h"

// For float64 the operators that the value is composed of are recorded, each with its derivatives.
// For other dtypes the call is, and its backward, of first order, is one operator too. Tangents,
// and derivatives of the backward, are those of the composition again.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

struct InFloat64Backward {
  static constexpr const char* name = "InFloat64Backward";

  /// Saved: input, targets, strength, level, undefined if absent. Next edges: the first three.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    if (!grad_outputs[0].defined()) return variable_list(3);
    const auto gradients = operators::in_float64_backward(
        grad_outputs[0], call_of(saved), {needed[0], needed[1], needed[2]},
        {saved.regularization_strength, saved.method, saved.mask});
    return where_needed(gradients, needed);
  }
};

Tensor in_float64(c10::DispatchKeySet keys, const FunctionCall& call, const Options& options) {
  operators::InFloat64::check(call, options);
  const Tensor& input = call.input;
  const auto [first, second, third] = call.differentiated();
  const variable_list inputs{first, second, third};
  if (call.level.has_value()) check_levels_are_constant(*call.level);
  if (!has_float64(input.device()) && any_has_tangent(inputs)) {
    const std::optional<Tensor> mask = on_the_host(options.mask);
    return operators::in_float64(on_the_host(call),
                                 {options.regularization_strength, options.method, mask})
        .to(input.device());
  }
  if (call.is_float64() || any_has_tangent(inputs)) {
    const Tensor value = operators::InFloat64::value(call, options);
    return value.is_same(input) ? value.alias() : value;
  }
  const Tensor value = below_autograd([&] {
    return operators::in_float64.redispatch(keys & c10::after_autograd_keyset, call, options);
  });
  if (const NodePtr node = node_if_required<InFloat64Backward>(inputs, saved_call(call, options))) {
    torch::autograd::set_history(value, node);
  }
  return value;
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward(c10::DispatchKeySet keys,
                                                       const Tensor& grad_output,
                                                       const FunctionCall& call,
                                                       std::array<bool, 3> needed,
                                                       const Options& options) {
  const auto [first, second, third] = call.differentiated();
  if (!is_differentiated({grad_output, first, second, third})) {
    return below_autograd([&] {
      return operators::in_float64_backward.redispatch(keys & c10::after_autograd_keyset,
                                                       grad_output, call, needed, options);
    });
  }
  operators::InFloat64Backward::check(grad_output, call, needed, options);
  const Tensor& input = call.input;
  if (!has_float64(input.device())) {
    const std::optional<Tensor> mask = on_the_host(options.mask);
    auto [of_input, of_targets, of_strength] =
        operators::in_float64_backward(on_the_host(grad_output), on_the_host(call), needed,
                                       {options.regularization_strength, options.method, mask});
    const auto back = [&](const Tensor& tensor) { return tensor.to(input.device()); };
    return {back(of_input), back(of_targets), back(of_strength)};
  }
  const auto value = [&](const FunctionCall& of) {
    return operators::InFloat64::value(of, options);
  };
  return returned(call.gradients(value, grad_output, needed, /*create_graph=*/true), input);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::InFloat64, in_float64>(library);
  autograd_kernel<operators::InFloat64Backward, in_float64_backward>(library);
}

}  // namespace rank_relax::autograd
