#pragma once

#include <torch/library.h>

#include "core/projection/permutahedron.h"
#include "torch/any_device/on_the_host.h"

namespace rank_relax::any_device {

template <class PairwiseKernel>
void pairwise_or_on_the_host(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                             torch::jit::Stack* stack) {
  if (Projections::contains(argument(op, *stack, "method").toStringRef())) {
    on_the_host(op, stack);
    return;
  }
  static const auto pairwise = c10::KernelFunction::makeFromUnboxedFunction(PairwiseKernel());
  pairwise.callBoxed(op, keys, stack);
}

/// The kernel, a TORCH_FN for the smooth CDFs, with the host's for the projections.
template <class PairwiseKernel>
torch::CppFunction by_method(PairwiseKernel) {
  return torch::CppFunction::makeFromBoxedFunction<&pairwise_or_on_the_host<PairwiseKernel>>();
}

}  // namespace rank_relax::any_device
