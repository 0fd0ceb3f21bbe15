#include "cpu/hard_rank.h"

#include "c/call.h"
#include "c/real_items.h"
#include "core/refusals.h"

using namespace rank_relax;

rank_relax_status rank_relax_hard_rank(const rank_relax_tensor* input, int32_t descending,
                                       int32_t normalize, const rank_relax_options* options,
                                       const rank_relax_tensor* ranks) {
  return c::status_of("hard_rank", [&] {
    c::Call call(options);
    const c::Tensor x = call.real("input", input);
    call.check_on_cpu();
    call.set_lists(x);
    const c::Dtype dtype = c::Tensor("ranks", ranks).dtype();
    if (dtype != c::Dtype::kFloat64 && dtype != c::Dtype::kFloat32) {
      c::refuse(refusal::sentence("ranks must be float64 or float32, got ", c::name_of(dtype)));
    }
    const c::Tensor result = call.output("ranks", ranks, dtype, x.shape(), "input");
    const auto unit = normalize != 0 ? cpu::RankUnit::kFraction : cpu::RankUnit::kItems;
    c::visit_scalar(dtype, [&](auto scalar) {
      c::hard_ranks(call, x, descending != 0, unit, result.data<decltype(scalar)>());
    });
  });
}
