#pragma once

#include <torch/library.h>

#include "core/projection/permutahedron.h"
#include "torch/any_device/on_the_host.h"
#include "torch/declaration/kernel.h"

namespace rank_relax::any_device {

template <class Pairwise>
void pairwise_or_on_the_host(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                             torch::jit::Stack* stack) {
  if (Projections::contains(argument(op, *stack, "method").toStringRef())) {
    on_the_host(op, stack);
    return;
  }
  static const auto pairwise = c10::KernelFunction::makeFromUnboxedFunction(Pairwise());
  pairwise.callBoxed(op, keys, stack);
}

/// Makes the function, for the smooth CDFs, the operator's kernel, with the host's for the
/// projections.
template <class Declared, auto function>
void kernel_by_method(torch::Library& library) {
  using Pairwise = typename KernelsOf<Declared>::template Checked<function>;
  library.impl(Declared::name,
               torch::CppFunction::makeFromBoxedFunction<&pairwise_or_on_the_host<Pairwise>>());
}

}  // namespace rank_relax::any_device
