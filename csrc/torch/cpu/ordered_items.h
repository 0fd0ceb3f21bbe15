#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <optional>

#include "core/refusals.h"
#include "cpu/sort/sort_key.h"
#include "torch/cpu/adapter.h"

namespace rank_relax {

/// visit(order) with that of cpu/sort/sort_key.h for a dtype.
template <class Visit>
void visit_order_of_integers(at::ScalarType dtype, const Visit& visit) {
  switch (dtype) {
    case at::kBool:
      return visit(cpu::BoolOrder{});
    case at::kChar:
      return visit(cpu::IntegerOrder<int8_t>{});
    case at::kShort:
      return visit(cpu::IntegerOrder<int16_t>{});
    case at::kInt:
      return visit(cpu::IntegerOrder<int32_t>{});
    case at::kLong:
      return visit(cpu::IntegerOrder<int64_t>{});
    case at::kByte:
      return visit(cpu::IntegerOrder<uint8_t>{});
    case at::kUInt16:
      return visit(cpu::IntegerOrder<uint16_t>{});
    case at::kUInt32:
      return visit(cpu::IntegerOrder<uint32_t>{});
    case at::kUInt64:
      return visit(cpu::IntegerOrder<uint64_t>{});
    default:
      TORCH_INTERNAL_ASSERT(false, "no order for ", dtype);
  }
}

template <class Visit>
void visit_order(at::ScalarType dtype, const Visit& visit) {
  switch (dtype) {
    case at::kDouble:
      return visit(cpu::Float64Order{});
    case at::kFloat:
      return visit(cpu::Float32Order{});
    case at::kHalf:
      return visit(cpu::Float16Order{});
    case at::kBFloat16:
      return visit(cpu::BFloat16Order{});
    default:
      return visit_order_of_integers(dtype, visit);
  }
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
