#pragma once

#include <ATen/core/Tensor.h>

// What comes out of an operator, for its Meta kernel. Outputs are contiguous, whatever the strides
// of the input, here as in the kernels.

namespace rank_relax {

at::Tensor like(const at::Tensor& tensor);
at::Tensor like(const at::Tensor& tensor, at::ScalarType dtype);
/// Of what passes between forward and backward (statistics_dtype).
at::Tensor statistics_like(const at::Tensor& values);
/// Numbers of float64 (torch/any_device/float64.h).
at::Tensor float64_bits_like(const at::Tensor& values);
/// A number for each list: [*] of [*, n].
at::Tensor one_for_each_list(const at::Tensor& values);
/// Lists of another length and dtype: [*, size] of [*, n].
at::Tensor lists_of(c10::SymInt size, const at::Tensor& values, at::ScalarType dtype);

}  // namespace rank_relax
