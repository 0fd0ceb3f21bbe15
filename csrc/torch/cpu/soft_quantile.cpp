#include "cpu/soft_quantile.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>

#include "torch/cpu/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_quantile.h"

namespace rank_relax {
namespace {

at::Tensor quantile_at_levels_cpu(const at::Tensor& input, const at::Tensor& levels,
                                  const Options& options) {
  const at::Tensor points = at::empty(levels.sizes(), levels.options());
  if (points.numel() == 0) return points;
  const at::Tensor items = at_least_float32(input);
  AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "quantile_at_levels", [&] {
    cpu::quantile_at_levels(soft_batch_of<scalar_t>(items, options), rows_of<double>(levels),
                            levels.size(-1), points.mutable_data_ptr<double>(), torch_parallel_for);
  });
  return points;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::QuantileAtLevels, quantile_at_levels_cpu>(library);
}

}  // namespace rank_relax
