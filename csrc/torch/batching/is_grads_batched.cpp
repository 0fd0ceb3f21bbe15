#include <ATen/LegacyVmapTransforms.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <vector>

// torch.autograd.grad(is_grads_batched=True), and what is built on it, batches through a dispatch
// key of its own, older than torch.func's (rank_relax/_vmap.py). The rule is the same: operators
// keep the batch shape, so a batched dimension is one more of it, in front.

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
  op.callBoxed(call);
  const auto to_logical = physical.front().getPhysicalToLogicalMap();
  torch::jit::drop(*stack, arguments.size());
  for (const c10::IValue& output : call) stack->emplace_back(to_logical.apply(output.toTensor()));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Batched, library) {
  for (const char* name : {"soft_rank",
                           "soft_rank_backward",
                           "_soft_rank_derivative",
                           "_permutahedron_rank_forward",
                           "_permutahedron_rank_derivative",
                           "soft_sort",
                           "_permutahedron_sort_forward",
                           "_permutahedron_sort_backward",
                           "_permutahedron_sort_tangent",
                           "_quantile_sort_forward",
                           "_quantile_sort_backward",
                           "_quantile_sort_tangent",
                           "_quantile_at_levels",
                           "_quantile_at_levels_backward",
                           "_quantile_at_levels_tangent",
                           "_soft_topk_forward",
                           "_soft_topk_backward",
                           "_in_float64",
                           "_in_float64_backward",
                           "_spearman_loss_forward",
                           "_spearman_loss_backward",
                           "_spearman_loss_at_ranks_forward",
                           "_spearman_loss_at_ranks_backward"}) {
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&one_call_for_the_batch>());
  }
}

}  // namespace rank_relax
