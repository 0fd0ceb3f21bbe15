#include "torch/any_device/on_the_host.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <optional>
#include <vector>

// Projections are found by a sequential algorithm, after a sort, and quantiles by search. Where we
// have no kernel for a device the CPU's is used: two copies, and a wait for the device.

namespace rank_relax::any_device {
namespace {

using at::Tensor;

/// Copies to the host; of all tensors that it sees, the device must be the same.
class ToHost {
 public:
  explicit ToHost(const c10::OperatorHandle& op) : op_(op) {}

  c10::IValue operator()(const c10::IValue& argument) {
    if (argument.isTensor()) return copied(argument.toTensor());
    if (!argument.isTensorList()) return argument;
    std::vector<Tensor> copies;
    for (const Tensor& tensor : argument.toTensorVector()) copies.push_back(copied(tensor));
    return copies;
  }

  at::Device device() const { return device_.value_or(at::kCPU); }

 private:
  Tensor copied(const Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    TORCH_CHECK_VALUE(tensor.device() == device_.value_or(tensor.device()), op_.schema().name(),
                      ": tensors are on ", *device_, " and on ", tensor.device(),
                      "; move them to one device");
    TORCH_CHECK_TYPE(tensor.layout() == at::kStrided, op_.schema().name(),
                     ": tensors must be dense, got layout ", tensor.layout(),
                     "; convert them with to_dense()");
    device_ = tensor.device();
    return tensor.to(at::kCPU);
  }

  const c10::OperatorHandle& op_;
  std::optional<at::Device> device_;
};

}  // namespace

void on_the_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const size_t count = op.schema().arguments().size();
  ToHost to_host(op);
  torch::jit::Stack call;
  for (const c10::IValue& argument : torch::jit::last(*stack, count)) {
    call.push_back(to_host(argument));
  }
  torch::jit::drop(*stack, count);
  TORCH_CHECK_NOT_IMPLEMENTED(to_host.device() != at::kCPU, op.schema().name(),
                              ": no kernel for tensors of this kind, and none on the CPU");
  op.callBoxed(call);
  for (const c10::IValue& output : call)
    stack->emplace_back(output.toTensor().to(to_host.device()));
}

const c10::IValue& argument(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                            std::string_view name) {
  const std::optional<int> index = op.schema().argumentIndexWithName(name);
  TORCH_INTERNAL_ASSERT(index.has_value());
  return torch::jit::peek(stack, *index, op.schema().arguments().size());
}

}  // namespace rank_relax::any_device
