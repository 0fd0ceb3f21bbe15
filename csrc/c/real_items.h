#pragma once

#include "c/call.h"
#include "cpu/hard_rank.h"
#include "cpu/sort/visit_order.h"

namespace rank_relax::c {

/// Hard ranks of the call's lists, [..., n] and row-major.
template <class Scalar>
void hard_ranks(const Call& call, const Tensor& input, bool descending, cpu::RankUnit unit,
                Scalar* ranks) {
  cpu::visit_order(format_of(input.dtype()), bytes_of(input.dtype()), [&](auto order) {
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
