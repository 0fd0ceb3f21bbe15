#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <optional>
#include <string_view>

#include "core/refusals.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "torch/declaration/options.h"

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

/// ValueError if the environment asks for an instruction set that this machine lacks.
void check_instruction_set();

template <class Scalar>
cpu::Batch<Scalar> batch_of(const at::Tensor& input, const std::optional<at::Tensor>& mask) {
  check_instruction_set();
  TORCH_CHECK_VALUE(input.size(-1) <= refusal::kLongestList || input.numel() == 0,
                    "rank_relax: ", refusal::too_long(input.size(-1)));
  int64_t count = 1;
  for (const int64_t size : input.sizes().slice(0, input.dim() - 1)) count *= size;
  return {count, input.size(-1), rows_of<Scalar>(input), mask_rows(mask)};
}

template <class Scalar>
cpu::SoftBatch<Scalar> soft_batch_of(const at::Tensor& input, const Options& options) {
  return {batch_of<Scalar>(input, options.mask), options.regularization_strength, options.method};
}

/// torch's own threads, as many as torch.set_num_threads says.
void torch_parallel_for(int64_t count, int64_t grain, const cpu::Work& work);

/// Half precisions are computed in float32; the other dtypes as they are, without a copy.
at::Tensor at_least_float32(const at::Tensor& values);

}  // namespace rank_relax
