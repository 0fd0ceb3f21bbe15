#pragma once

#include "c/call.h"
#include "cpu/hard_rank.h"
#include "cpu/sort/sort_key.h"

namespace rank_relax::c {

/// visit(order) with that of cpu/sort/sort_key.h for a dtype.
template <class Visit>
void visit_order(Dtype dtype, const Visit& visit) {
  switch (dtype) {
    case Dtype::kFloat64:
      return visit(cpu::Float64Order{});
    case Dtype::kFloat32:
      return visit(cpu::Float32Order{});
    case Dtype::kBFloat16:
      return visit(cpu::BFloat16Order{});
    case Dtype::kFloat16:
      return visit(cpu::Float16Order{});
    case Dtype::kInt8:
      return visit(cpu::IntegerOrder<int8_t>{});
    case Dtype::kInt16:
      return visit(cpu::IntegerOrder<int16_t>{});
    case Dtype::kInt32:
      return visit(cpu::IntegerOrder<int32_t>{});
    case Dtype::kInt64:
      return visit(cpu::IntegerOrder<int64_t>{});
    case Dtype::kUint8:
      return visit(cpu::IntegerOrder<uint8_t>{});
    case Dtype::kUint16:
      return visit(cpu::IntegerOrder<uint16_t>{});
    case Dtype::kUint32:
      return visit(cpu::IntegerOrder<uint32_t>{});
    case Dtype::kUint64:
      return visit(cpu::IntegerOrder<uint64_t>{});
    case Dtype::kBool:
      return visit(cpu::BoolOrder{});
  }
}

/// Hard ranks of the call's lists, [..., n] and row-major.
template <class Scalar>
void hard_ranks(const Call& call, const Tensor& input, bool descending, cpu::RankUnit unit,
                Scalar* ranks) {
  visit_order(input.dtype(), [&](auto order) {
    using Order = decltype(order);
    using Bits = typename Order::Bits;
    call.for_each_part(
        false, /*splits=*/false, [&](const Part& part, const cpu::ParallelFor& parallel_for) {
          const cpu::Batch<Bits> batch{part.lists, part.size, part.of(input.rows<Bits>()),
                                       call.mask(part)};
          cpu::hard_rank<Order>(batch, descending, unit, ranks + part.first_item, parallel_for);
        });
  });
}

}  // namespace rank_relax::c
