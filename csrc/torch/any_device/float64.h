#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

// Not every device has float64: Apple's MPS and several NPUs have none. What needs it there is
// computed on the CPU (torch/any_device/on_the_host.h), and what passes between forward and
// backward in float64 goes as the bits of it, which are integers and can lie anywhere.

namespace rank_relax {

/// Whether tensors of float64 can be there. The environment variable
/// RANK_RELAX_DEVICES_WITHOUT_FLOAT64, read once, names devices that can't beside MPS: "npu, xpu".
bool has_float64(c10::Device device);

/// A float64 tensor as its bits, in int64, and back: the same memory.
inline at::Tensor bits_of(const at::Tensor& doubles) { return doubles.view(at::kLong); }
inline at::Tensor float64_of(const at::Tensor& bits) { return bits.view(at::kDouble); }

}  // namespace rank_relax
