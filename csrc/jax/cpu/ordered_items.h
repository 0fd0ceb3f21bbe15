#pragma once

#include "adapter.h"
#include "cpu/sort/visit_order.h"

namespace rank_relax::handlers {

inline cpu::Format format_of(ffi::DataType dtype) {
  switch (dtype) {
    case ffi::PRED:
      return cpu::Format::kBool;
    case ffi::S8:
    case ffi::S16:
    case ffi::S32:
    case ffi::S64:
      return cpu::Format::kSigned;
    case ffi::U8:
    case ffi::U16:
    case ffi::U32:
    case ffi::U64:
      return cpu::Format::kUnsigned;
    case ffi::BF16:
      return cpu::Format::kBFloat;
    case ffi::F16:
    case ffi::F32:
    case ffi::F64:
      return cpu::Format::kFloat;
    default:
      throw Refused("rank_relax: items of this dtype have no order");
  }
}

/// visit(order) with that of cpu/sort/sort_key.h for a dtype.
template <class Visit>
void visit_order(ffi::DataType dtype, const Visit& visit) {
  cpu::visit_order(format_of(dtype), ffi::ByteWidth(dtype), visit);
}

}  // namespace rank_relax::handlers
