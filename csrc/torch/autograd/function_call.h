#pragma once

#include <optional>
#include <string>
#include <utility>

#include "torch/autograd/node.h"
#include "torch/autograd/on_the_host.h"
#include "torch/composite/function_call.h"

// What the nodes of _in_float64 and of _ragged save.

namespace rank_relax::autograd {

/// With further tensors behind those of the call.
inline SavedValues saved_call(const FunctionCall& call, const Options& options,
                              const variable_list& others = {}) {
  const auto [input, targets, strength] = call.differentiated();
  SavedValues saved{{input, targets, strength, call.level.value_or(at::Tensor())},
                    options.mask,
                    options.regularization_strength,
                    std::string(options.method)};
  saved.tensors.insert(saved.tensors.end(), others.begin(), others.end());
  saved.function = call.function;
  saved.number = call.number;
  saved.standardize = call.standardize;
  return saved;
}

/// Borrows the name of the function.
inline FunctionCall call_of(const SavedValues& saved) {
  const auto optional = [&](size_t place) {
    const at::Tensor& tensor = saved.tensors[place];
    return tensor.defined() ? std::make_optional(tensor) : std::nullopt;
  };
  return {saved.tensors[0], optional(1),  optional(3),      optional(2),
          saved.function,   saved.number, saved.standardize};
}

inline FunctionCall on_the_host(const FunctionCall& call) {
  return {on_the_host(call.input), on_the_host(call.targets),
          on_the_host(call.level), on_the_host(call.strength),
          call.function,           call.number,
          call.standardize};
}

/// Empty in place of what is undefined, as an operator returns it.
inline std::tuple<at::Tensor, at::Tensor, at::Tensor> returned(std::array<at::Tensor, 3> gradients,
                                                               const at::Tensor& input) {
  std::vector<c10::SymInt> nothing = input.sym_sizes().vec();
  nothing.back() = 0;
  for (at::Tensor& gradient : gradients) {
    if (!gradient.defined()) gradient = at::empty_symint(nothing, input.options());
  }
  return {gradients[0], gradients[1], gradients[2]};
}

/// As a formula returns them: undefined where they are not needed.
inline variable_list where_needed(const std::tuple<at::Tensor, at::Tensor, at::Tensor>& gradients,
                                  const std::vector<bool>& needed) {
  const auto& [input, targets, strength] = gradients;
  return {needed[0] ? input : at::Tensor(), needed[1] ? targets : at::Tensor(),
          needed[2] ? strength : at::Tensor()};
}

}  // namespace rank_relax::autograd
