#include "cpu/hard_rank.h"

#include "ordered_items.h"

namespace rank_relax::handlers {
namespace {

/// items [, mask] -> hard ranks; `unit` is one of cpu::RankUnit. In which precision says the
/// result.
ffi::Error hard_rank(ffi::ThreadPool pool, bool descending, int64_t unit, bool /*wide*/,
                     ffi::AnyBuffer input, ffi::RemainingArgs others,
                     ffi::Result<ffi::AnyBuffer> ranks) {
  return run([&] {
    if (input.element_count() == 0) return;
    visit_floating(ranks->element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      visit_order(input.element_type(), [&](auto order) {
        using Order = decltype(order);
        const Lists<typename Order::Bits> items(input, count_of(input));
        const Lists<uint8_t> mask = counted_by(mask_of(others), count_of(input));
        cpu::hard_rank<Order>({count_of(input), size_of(input), items.rows(), mask.rows()},
                              descending, static_cast<cpu::RankUnit>(unit), data_of<Scalar>(ranks),
                              parallel_for(pool));
      });
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(hard_rank, hard_rank,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<bool>("descending")
                       .Attr<int64_t>("unit")
                       .Attr<bool>("wide")
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
