#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <optional>

#include "core/refusals.h"
#include "cpu/sort/visit_order.h"
#include "torch/cpu/adapter.h"

namespace rank_relax {

inline cpu::Format format_of(at::ScalarType dtype) {
  if (dtype == at::kBool) return cpu::Format::kBool;
  if (dtype == at::kBFloat16) return cpu::Format::kBFloat;
  if (at::isFloatingType(dtype)) return cpu::Format::kFloat;
  return at::isSignedType(dtype) ? cpu::Format::kSigned : cpu::Format::kUnsigned;
}

/// visit(order) with that of cpu/sort/sort_key.h for a dtype.
template <class Visit>
void visit_order_of_integers(at::ScalarType dtype, const Visit& visit) {
  const bool found = cpu::visit_order_of_integers(format_of(dtype), c10::elementSize(dtype), visit);
  TORCH_INTERNAL_ASSERT(found, "no order for ", dtype);
}

template <class Visit>
void visit_order(at::ScalarType dtype, const Visit& visit) {
  const bool found = cpu::visit_order(format_of(dtype), c10::elementSize(dtype), visit);
  TORCH_INTERNAL_ASSERT(found, "no order for ", dtype);
}

/// Lists of items as their bits.
template <class Order>
cpu::Batch<typename Order::Bits> batch_of_bits(Order, const at::Tensor& input,
                                               const std::optional<at::Tensor>& mask) {
  TORCH_CHECK_VALUE(input.size(-1) <= refusal::kLongestList || input.numel() == 0,
                    "rank_relax: ", refusal::too_long(input.size(-1)));
  int64_t count = 1;
  for (const int64_t size : input.sizes().slice(0, input.dim() - 1)) count *= size;
  return {count,
          input.size(-1),
          {static_cast<const typename Order::Bits*>(input.const_data_ptr()), input.sizes().data(),
           input.strides().data(), input.dim()},
          mask_rows(mask)};
}

}  // namespace rank_relax
