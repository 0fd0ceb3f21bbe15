#include "torch/declaration/is_grads_batched.h"

#include <ATen/LegacyVmapTransforms.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <vector>

#include "torch/declaration/declare.h"

namespace rank_relax {
namespace {

/// Calls visit(tensor) for every tensor among the arguments and puts what it returns in its place.
template <class Visit>
void replace_tensors(c10::ArrayRef<c10::IValue> arguments, torch::jit::Stack& replaced,
                     const Visit& visit) {
  for (const c10::IValue& argument : arguments) {
    if (argument.isTensor()) {
      replaced.emplace_back(visit(argument.toTensor()));
    } else if (argument.isTensorList()) {
      std::vector<at::Tensor> tensors;
      for (const at::Tensor& tensor : argument.toTensorVector()) tensors.push_back(visit(tensor));
      replaced.emplace_back(std::move(tensors));
    } else {
      replaced.push_back(argument);
    }
  }
}

void one_call_for_the_batch(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto arguments = torch::jit::last(*stack, op.schema().arguments().size());
  std::vector<at::Tensor> logical;
  torch::jit::Stack call;
  replace_tensors(arguments, call, [&](const at::Tensor& tensor) {
    logical.push_back(tensor);
    return tensor;
  });
  const auto physical = at::MultiBatchVmapTransform::logicalToPhysical(logical);
  call.clear();
  size_t next = 0;
  replace_tensors(arguments, call, [&](const at::Tensor&) { return physical[next++].tensor(); });
  const size_t lists = facts_of(op).place_of_lists;
  if (arguments[lists].toTensor().dim() == 0) {
    // Samples without a dimension: the batch is no list. Let the operator say so.
    call[lists] = call[lists].toTensor().new_empty({});
  }
  op.callBoxed(call);
  const auto to_logical = physical.front().getPhysicalToLogicalMap();
  torch::jit::drop(*stack, arguments.size());
  for (const c10::IValue& output : call) stack->emplace_back(to_logical.apply(output.toTensor()));
}

}  // namespace

torch::CppFunction for_batched_gradients() {
  return torch::CppFunction::makeFromBoxedFunction<&one_call_for_the_batch>();
}

}  // namespace rank_relax
