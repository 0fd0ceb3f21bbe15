#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_fw_primal.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <vector>

#include "torch/autograd/node.h"
#include "torch/declaration/operator.h"

// The steps that every Autograd kernel takes, as the in-tree operators take them: run the kernel
// below autograd, make a node if a gradient will be wanted, set the tangent.

namespace rank_relax::autograd {

template <class Kernel>
auto below_autograd(const Kernel& kernel) {
  const at::AutoDispatchBelowADInplaceOrView guard;
  return kernel();
}

/// The node of a call on `inputs`, or null if none of them requires a gradient.
template <class Formula>
NodePtr node_if_required(const variable_list& inputs, const SavedValues& saved) {
  if (!torch::autograd::GradMode::is_enabled()) return nullptr;
  if (!torch::autograd::any_variable_requires_grad(inputs)) return nullptr;
  return make_node<OperatorNode<Formula>>(torch::autograd::collect_next_edges(inputs), saved);
}

template <class Formula>
NodePtr node_if_required(const variable_list& inputs, const variable_list& saved,
                         const Options& options) {
  return node_if_required<Formula>(
      inputs, {saved, options.mask, options.regularization_strength, std::string(options.method)});
}

inline bool has_tangent(const at::Tensor& tensor) {
  return tensor.defined() && tensor._fw_grad(/*level=*/0).defined();
}

inline bool any_has_tangent(const variable_list& tensors) {
  for (const at::Tensor& tensor : tensors) {
    if (has_tangent(tensor)) return true;
  }
  return false;
}

/// Whether a derivative of a call on `inputs` will be wanted.
inline bool is_differentiated(const variable_list& inputs) {
  return (torch::autograd::GradMode::is_enabled() &&
          torch::autograd::any_variable_requires_grad(inputs)) ||
         any_has_tangent(inputs);
}

/// The tensor without its tangent: what a formula for another tangent is evaluated at.
inline at::Tensor primal(const at::Tensor& tensor) {
  return has_tangent(tensor) ? tensor._fw_primal(/*level=*/0) : tensor;
}

inline at::Tensor tangent(const at::Tensor& tensor) { return tensor._fw_grad(/*level=*/0); }

inline void set_tangent(const at::Tensor& output, const at::Tensor& tangent) {
  if (tangent.defined()) output._set_fw_grad(tangent, /*level=*/0, /*is_inplace_op=*/false);
}

inline void check_levels_are_constant(const at::Tensor& levels) {
  TORCH_CHECK_VALUE(!is_differentiated({levels}),
                    "levels of a smoothed count, such as q of soft_quantile and k of soft_topk, "
                    "have no derivative: detach them");
}

}  // namespace rank_relax::autograd
