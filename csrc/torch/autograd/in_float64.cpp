#include "torch/operators/in_float64.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/alias.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/on_the_host.h"
#include "torch/declaration/kernel.h"

// For float64 the operators that the value is composed of are recorded, each with its derivatives.
// For other dtypes the call is, and its backward, of first order, is one operator too. Tangents,
// and derivatives of the backward, are those of the composition again.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

Float64Call call_on_the_host(const Float64Call& call) {
  return {on_the_host(call.input), on_the_host(call.targets),
          on_the_host(call.level), on_the_host(call.strength),
          call.function,           call.number,
          call.standardize};
}

struct InFloat64Backward {
  static constexpr const char* name = "InFloat64Backward";

  /// Saved: input, targets, strength, level, undefined if absent. Next edges: the first three.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(3);
    if (!grad_outputs[0].defined()) return gradients;
    const auto optional = [&](size_t place) {
      const Tensor& tensor = saved.tensors[place];
      return tensor.defined() ? std::make_optional(tensor) : std::nullopt;
    };
    const Float64Call call{saved.tensors[0], optional(1),  optional(3),      optional(2),
                           saved.function,   saved.number, saved.standardize};
    const auto [input, targets, strength] =
        operators::in_float64_backward(grad_outputs[0], call, {needed[0], needed[1], needed[2]},
                                       {saved.regularization_strength, saved.method, saved.mask});
    if (needed[0]) gradients[0] = input;
    if (needed[1]) gradients[1] = targets;
    if (needed[2]) gradients[2] = strength;
    return gradients;
  }
};

Tensor in_float64(c10::DispatchKeySet keys, const Float64Call& call, const Options& options) {
  operators::InFloat64::check(call, options);
  const Tensor& input = call.input;
  const auto [first, second, third] = call.differentiated();
  const variable_list inputs{first, second, third};
  if (call.level.has_value()) check_levels_are_constant(*call.level);
  if (!has_float64(input.device()) && any_has_tangent(inputs)) {
    const std::optional<Tensor> mask = on_the_host(options.mask);
    return operators::in_float64(call_on_the_host(call),
                                 {options.regularization_strength, options.method, mask})
        .to(input.device());
  }
  if (call.is_float64() || any_has_tangent(inputs)) {
    const Tensor value = call.value(options);
    return value.is_same(input) ? value.alias() : value;
  }
  const Tensor value = below_autograd([&] {
    return operators::in_float64.redispatch(keys & c10::after_autograd_keyset, call, options);
  });
  SavedValues saved{{first, second, third, call.level.value_or(Tensor())},
                    options.mask,
                    options.regularization_strength,
                    std::string(options.method)};
  saved.function = call.function;
  saved.number = call.number;
  saved.standardize = call.standardize;
  if (const NodePtr node = node_if_required<InFloat64Backward>(inputs, saved)) {
    torch::autograd::set_history(value, node);
  }
  return value;
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward(c10::DispatchKeySet keys,
                                                       const Tensor& grad_output,
                                                       const Float64Call& call,
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
        operators::in_float64_backward(on_the_host(grad_output), call_on_the_host(call), needed,
                                       {options.regularization_strength, options.method, mask});
    const auto back = [&](const Tensor& tensor) { return tensor.to(input.device()); };
    return {back(of_input), back(of_targets), back(of_strength)};
  }
  std::array<Tensor, 3> gradients =
      call.gradients(grad_output, needed, /*create_graph=*/true, options);
  std::vector<c10::SymInt> nothing = input.sym_sizes().vec();
  nothing.back() = 0;
  for (Tensor& gradient : gradients) {
    if (!gradient.defined()) gradient = at::empty_symint(nothing, input.options());
  }
  return {gradients[0], gradients[1], gradients[2]};
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::InFloat64, in_float64>(library);
  autograd_kernel<operators::InFloat64Backward, in_float64_backward>(library);
}

}  // namespace rank_relax::autograd
