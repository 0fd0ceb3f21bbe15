#include "torch/declaration/outputs.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "torch/declaration/argument_checks.h"

namespace rank_relax {

at::Tensor like(const at::Tensor& tensor) { return like(tensor, tensor.scalar_type()); }

at::Tensor like(const at::Tensor& tensor, at::ScalarType dtype) {
  return at::empty_symint(tensor.sym_sizes(), tensor.options().dtype(dtype));
}

at::Tensor statistics_like(const at::Tensor& values) {
  return like(values, statistics_dtype(values));
}

at::Tensor float64_bits_like(const at::Tensor& values) { return like(values, at::kLong); }

at::Tensor one_for_each_list(const at::Tensor& values) {
  return at::empty_symint(values.sym_sizes().slice(0, values.dim() - 1), values.options());
}

at::Tensor lists_of(c10::SymInt size, const at::Tensor& values, at::ScalarType dtype) {
  c10::SymDimVector shape(values.sym_sizes().begin(), values.sym_sizes().end());
  shape.back() = std::move(size);
  return at::empty_symint(shape, values.options().dtype(dtype));
}

}  // namespace rank_relax
