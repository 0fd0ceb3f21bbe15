#include "cpu/soft_quantile.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>

#include "torch/checks.h"
#include "torch/cpu/adapter.h"

namespace rank_relax {
namespace {

at::Tensor quantile_at_levels_cpu(const at::Tensor& input, const at::Tensor& levels,
                                  double regularization_strength, std::string_view method,
                                  const std::optional<at::Tensor>& mask) {
  check_quantile_at_levels("_quantile_at_levels", input, levels,
                           {regularization_strength, method, mask});
  const at::Tensor points = at::empty(levels.sizes(), levels.options());
  if (points.numel() == 0) return points;
  const at::Tensor items = at_least_float32(input);
  AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "quantile_at_levels", [&] {
    cpu::quantile_at_levels(batch_of<scalar_t>(items, mask), rows_of<double>(levels),
                            levels.size(-1), regularization_strength, method,
                            points.mutable_data_ptr<double>(), torch_parallel_for);
  });
  return points;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  library.impl("_quantile_at_levels", quantile_at_levels_cpu);
}

}  // namespace rank_relax
