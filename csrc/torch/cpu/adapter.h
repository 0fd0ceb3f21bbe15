#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "cpu/parallel.h"
#include "cpu/rows.h"

namespace rank_relax {

/// The tensor's own memory, at its own strides.
template <class Scalar>
cpu::Rows<Scalar> rows_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<Scalar>(), tensor.sizes().data(), tensor.strides().data(),
          tensor.dim()};
}

/// As bytes: a bool tensor that is a view of bytes may hold more than 0 and 1.
inline cpu::Rows<uint8_t> mask_rows(const std::optional<at::Tensor>& mask) {
  if (!mask.has_value()) return {};
  return {reinterpret_cast<const uint8_t*>(mask->const_data_ptr<bool>()), mask->sizes().data(),
          mask->strides().data(), mask->dim()};
}

template <class Scalar>
cpu::Batch<Scalar> batch_of(const at::Tensor& input, const std::optional<at::Tensor>& mask) {
  int64_t count = 1;
  for (const int64_t size : input.sizes().slice(0, input.dim() - 1)) count *= size;
  return {count, input.size(-1), rows_of<Scalar>(input), mask_rows(mask)};
}

/// torch's own threads, as many as torch.set_num_threads says.
void torch_parallel_for(int64_t count, int64_t grain, const cpu::Work& work);

/// Half precisions are computed in float32; the other dtypes as they are, without a copy.
at::Tensor at_least_float32(const at::Tensor& values);

}  // namespace rank_relax
