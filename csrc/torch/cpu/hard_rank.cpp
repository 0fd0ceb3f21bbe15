#include "cpu/hard_rank.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "torch/cpu/adapter.h"
#include "torch/cpu/ordered_items.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/hard_rank.h"

namespace rank_relax {
namespace {

at::Tensor ranks_of(const at::Tensor& input, bool descending, cpu::RankUnit unit,
                    const std::optional<at::Tensor>& mask, at::ScalarType dtype) {
  const at::ScalarType computed = dtype == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor ranks = at::empty(input.sizes(), input.options().dtype(computed));
  if (input.numel() > 0) {
    AT_DISPATCH_FLOATING_TYPES(computed, "hard_rank", [&] {
      visit_order(input.scalar_type(), [&](auto order) {
        cpu::hard_rank<decltype(order)>(batch_of_bits(order, input, mask), descending, unit,
                                        ranks.mutable_data_ptr<scalar_t>(), torch_parallel_for);
      });
    });
  }
  return ranks.to(dtype);
}

at::Tensor hard_rank_cpu(const at::Tensor& input, bool descending, bool normalize,
                         const std::optional<at::Tensor>& mask,
                         std::optional<at::ScalarType> dtype) {
  const at::ScalarType result = operators::HardRank::result_dtype(input, dtype);
  const auto unit = normalize ? cpu::RankUnit::kFraction : cpu::RankUnit::kItems;
  return ranks_of(input, descending, unit, mask, result);
}

at::Tensor centered_hard_rank_cpu(const at::Tensor& input, const std::optional<at::Tensor>& mask,
                                  at::ScalarType dtype) {
  return ranks_of(input, /*descending=*/false, cpu::RankUnit::kCentered, mask, dtype);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::HardRank, hard_rank_cpu>(library);
  kernel<operators::CenteredHardRank, centered_hard_rank_cpu>(library);
}

}  // namespace rank_relax
