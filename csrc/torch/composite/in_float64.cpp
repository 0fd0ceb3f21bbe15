#include "torch/operators/in_float64.h"

#include <ATen/ops/clone.h>
#include <torch/library.h>

#include <array>
#include <tuple>

#include "torch/declaration/kernel.h"

namespace rank_relax {
namespace {

using at::Tensor;

Tensor in_float64(const FunctionCall& call, const Options& options) {
  const Tensor value = operators::InFloat64::value(call, options);
  return value.is_alias_of(call.input) ? value.clone() : value;
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward(const Tensor& grad_output,
                                                       const FunctionCall& call,
                                                       std::array<bool, 3> needed,
                                                       const Options& options) {
  const auto value = [&](const FunctionCall& of) {
    return operators::InFloat64::value(of, options);
  };
  return call.gradients_below_autograd(value, grad_output, needed);
}

void register_on(torch::Library& library) {
  kernel<operators::InFloat64, in_float64>(library);
  kernel<operators::InFloat64Backward, in_float64_backward>(library);
}

}  // namespace

Tensor operators::InFloat64::value(const FunctionCall& call, const Options& options) {
  const Tensor result = call.of().value_in_float64(call, options);
  return call.is_float64() ? result : result.to(at::kFloat);
}

// Elsewhere on the host.
TORCH_LIBRARY_IMPL(rank_relax, CPU, library) { register_on(library); }
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) { register_on(library); }

}  // namespace rank_relax
