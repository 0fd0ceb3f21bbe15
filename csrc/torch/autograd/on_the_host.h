#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "torch/any_device/float64.h"
#include "torch/declaration/operator.h"

// Formulas in float64 of tensors on a device that has none: the whole call is on the CPU, with
// copies there and back, which autograd differentiates as any other.

namespace rank_relax::autograd {

inline at::Tensor on_the_host(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::kCPU) : tensor;
}

inline std::optional<at::Tensor> on_the_host(const std::optional<at::Tensor>& tensor) {
  return tensor.has_value() ? std::make_optional(on_the_host(*tensor)) : std::nullopt;
}

template <class Op, class... Tensors>
at::Tensor called_on_the_host(const Op& op, const Options& options, const at::Tensor& first,
                              const Tensors&... others) {
  const std::optional<at::Tensor> mask = on_the_host(options.mask);
  return op(on_the_host(first), on_the_host(others)...,
            {options.regularization_strength, options.method, mask})
      .to(first.device());
}

}  // namespace rank_relax::autograd
