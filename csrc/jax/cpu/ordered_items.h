#pragma once

#include "adapter.h"
#include "cpu/sort/sort_key.h"

namespace rank_relax::handlers {

/// visit(order) with that of cpu/sort/sort_key.h for a dtype of integers.
template <class Visit>
void visit_order_of_integers(ffi::DataType dtype, const Visit& visit) {
  switch (dtype) {
    case ffi::PRED:
      return visit(cpu::BoolOrder{});
    case ffi::S8:
      return visit(cpu::IntegerOrder<int8_t>{});
    case ffi::S16:
      return visit(cpu::IntegerOrder<int16_t>{});
    case ffi::S32:
      return visit(cpu::IntegerOrder<int32_t>{});
    case ffi::S64:
      return visit(cpu::IntegerOrder<int64_t>{});
    case ffi::U8:
      return visit(cpu::IntegerOrder<uint8_t>{});
    case ffi::U16:
      return visit(cpu::IntegerOrder<uint16_t>{});
    case ffi::U32:
      return visit(cpu::IntegerOrder<uint32_t>{});
    case ffi::U64:
      return visit(cpu::IntegerOrder<uint64_t>{});
    default:
      throw Refused("rank_relax: items of this dtype have no order");
  }
}

template <class Visit>
void visit_order(ffi::DataType dtype, const Visit& visit) {
  switch (dtype) {
    case ffi::F64:
      return visit(cpu::Float64Order{});
    case ffi::F32:
      return visit(cpu::Float32Order{});
    case ffi::F16:
      return visit(cpu::Float16Order{});
    case ffi::BF16:
      return visit(cpu::BFloat16Order{});
    default:
      return visit_order_of_integers(dtype, visit);
  }
}

}  // namespace rank_relax::handlers
