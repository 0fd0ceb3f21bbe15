#pragma once

#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <string_view>

namespace rank_relax::any_device {

/// Runs the operator on the CPU, copies what it returns to the device that its tensors came from.
void on_the_host(const c10::OperatorHandle& op, torch::jit::Stack* stack);

/// The argument of that name among those on the stack.
const c10::IValue& argument(const c10::OperatorHandle& op, const torch::jit::Stack& stack,
                            std::string_view name);

}  // namespace rank_relax::any_device
