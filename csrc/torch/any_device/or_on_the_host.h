#pragma once

#include <torch/library.h>

#include "core/projection/permutahedron.h"
#include "torch/any_device/on_the_host.h"
#include "torch/declaration/kernel.h"

namespace rank_relax::any_device {

/// Which calls are the host's.
using ForTheHost = bool(const c10::OperatorHandle& op, const torch::jit::Stack& stack);

template <class Kernel, ForTheHost* is_for_the_host>
void call_or_on_the_host(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                         torch::jit::Stack* stack) {
  if (is_for_the_host(op, *stack)) {
    on_the_host(op, stack);
    return;
  }
  static const auto kernel = c10::KernelFunction::makeFromUnboxedFunction(Kernel());
  kernel.callBoxed(op, keys, stack);
}

/// Makes the function the operator's kernel, but for calls that the host has a better one for.
template <class Declared, auto function, ForTheHost* is_for_the_host>
void kernel_or_on_the_host(torch::Library& library) {
  using Kernel = typename KernelsOf<Declared>::template Checked<function>;
  library.impl(
      Declared::name,
      torch::CppFunction::makeFromBoxedFunction<&call_or_on_the_host<Kernel, is_for_the_host>>());
}

/// Projections are found by a sequential algorithm.
inline bool is_by_projection(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  return Projections::contains(argument(op, stack, "method").toStringRef());
}

/// Makes the function, for the smooth CDFs, the operator's kernel.
template <class Declared, auto function>
void kernel_by_method(torch::Library& library) {
  kernel_or_on_the_host<Declared, function, is_by_projection>(library);
}

}  // namespace rank_relax::any_device
