#include "torch/composite/in_float64.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/alias.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/on_the_host.h"
#include "torch/operators.h"

// For float64 the operators that the value is composed of are recorded, each with its derivatives.
// For other dtypes the call is, and its backward, of first order, is one operator too. Tangents,
// and derivatives of the backward, are those of the composition again.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

Tensor call_in_float64(const InFloat64& call, const Options& options) {
  return operators::in_float64()(call.input, call.targets, call.level, call.strength, call.function,
                                 call.number, call.standardize, options);
}

std::tuple<Tensor, Tensor, Tensor> call_backward(const Tensor& grad_output, const InFloat64& call,
                                                 std::array<bool, 3> needed,
                                                 const Options& options) {
  return operators::in_float64_backward()(grad_output, call.input, call.targets, call.level,
                                          call.strength, call.function, call.number,
                                          call.standardize, needed, options);
}

InFloat64 call_on_the_host(const InFloat64& call, const std::optional<Tensor>& mask) {
  return {call.function,
          on_the_host(call.input),
          on_the_host(call.targets),
          on_the_host(call.level),
          call.number,
          on_the_host(call.strength),
          call.standardize,
          {call.options.regularization_strength, call.options.method, mask}};
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
    const Options options{saved.regularization_strength, saved.method, saved.mask};
    const InFloat64 call{saved.function, saved.tensors[0], optional(1),       optional(3),
                         saved.number,   optional(2),      saved.standardize, options};
    const auto [input, targets, strength] =
        call_backward(grad_outputs[0], call, {needed[0], needed[1], needed[2]}, options);
    if (needed[0]) gradients[0] = input;
    if (needed[1]) gradients[1] = targets;
    if (needed[2]) gradients[2] = strength;
    return gradients;
  }
};

Tensor in_float64(c10::DispatchKeySet keys, const Tensor& input,
                  const std::optional<Tensor>& targets, const std::optional<Tensor>& level,
                  const std::optional<Tensor>& strength, std::string_view function, double number,
                  bool standardize, double regularization_strength, std::string_view method,
                  const std::optional<Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  const InFloat64 call{function, input, targets, level, number, strength, standardize, options};
  call.check();
  const auto [first, second, third] = call.differentiated();
  const variable_list inputs{first, second, third};
  if (call.level.has_value()) check_levels_are_constant(*call.level);
  if (!has_float64(input.device()) && any_has_tangent(inputs)) {
    const std::optional<Tensor> host_mask = on_the_host(mask);
    const InFloat64 there = call_on_the_host(call, host_mask);
    return call_in_float64(there, there.options).to(input.device());
  }
  if (call.is_float64() || any_has_tangent(inputs)) {
    const Tensor value = call.value();
    return value.is_same(input) ? value.alias() : value;
  }
  const Tensor value = below_autograd([&] {
    return operators::in_float64().redispatch(keys & c10::after_autograd_keyset, input, targets,
                                              level, strength, function, number, standardize,
                                              options);
  });
  SavedValues saved{{first, second, third, level.value_or(Tensor())},
                    mask,
                    regularization_strength,
                    std::string(method)};
  saved.function = function;
  saved.number = number;
  saved.standardize = standardize;
  if (const NodePtr node = node_if_required<InFloat64Backward>(inputs, saved)) {
    torch::autograd::set_history(value, node);
  }
  return value;
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward(
    c10::DispatchKeySet keys, const Tensor& grad_output, const Tensor& input,
    const std::optional<Tensor>& targets, const std::optional<Tensor>& level,
    const std::optional<Tensor>& strength, std::string_view function, double number,
    bool standardize, std::array<bool, 3> needed, double regularization_strength,
    std::string_view method, const std::optional<Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  const InFloat64 call{function, input, targets, level, number, strength, standardize, options};
  const auto [first, second, third] = call.differentiated();
  if (!is_differentiated({grad_output, first, second, third})) {
    return below_autograd([&] {
      return operators::in_float64_backward().redispatch(
          keys & c10::after_autograd_keyset, grad_output, input, targets, level, strength, function,
          number, standardize, needed, options);
    });
  }
  call.check();
  if (!has_float64(input.device())) {
    const std::optional<Tensor> host_mask = on_the_host(mask);
    const InFloat64 there = call_on_the_host(call, host_mask);
    auto [of_input, of_targets, of_strength] =
        call_backward(on_the_host(grad_output), there, needed, there.options);
    const auto back = [&](const Tensor& tensor) { return tensor.to(input.device()); };
    return {back(of_input), back(of_targets), back(of_strength)};
  }
  std::array<Tensor, 3> gradients = call.gradients(grad_output, needed, /*create_graph=*/true);
  std::vector<c10::SymInt> nothing = input.sym_sizes().vec();
  nothing.back() = 0;
  for (Tensor& gradient : gradients) {
    if (!gradient.defined()) gradient = at::empty_symint(nothing, input.options());
  }
  return {gradients[0], gradients[1], gradients[2]};
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  library.impl("_in_float64", in_float64);
  library.impl("_in_float64_backward", in_float64_backward);
}

}  // namespace rank_relax::autograd
