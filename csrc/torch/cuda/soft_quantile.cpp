#include "torch/cuda/soft_quantile.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include "torch/cuda/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_quantile.h"

namespace rank_relax {

void run_quantile(cuda::Quantile problem, const at::Tensor& input,
                  const std::optional<at::Tensor>& mask, const Options& options) {
  problem.rows = rows_of(input);
  problem.size = input.size(-1);
  problem.input = items_of(input);
  if (mask.has_value()) problem.mask = items_of(*mask);
  problem.regularization_strength = options.regularization_strength;
  check_length(problem.size, cuda::longest_quantile_row(problem, options.method), options.method);
  const at::DataPtr workspace = device_memory(cuda::quantile_workspace(problem, options.method));
  enqueue_on_current_stream([&](cudaStream_t stream) {
    return cuda::quantile(problem, options.method, workspace.get(), stream);
  });
}

namespace {

at::Tensor quantile_at_levels_cuda(const at::Tensor& input, const at::Tensor& levels,
                                   const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor points = at::empty(levels.sizes(), levels.options());
  if (points.numel() == 0) return points;
  const at::Tensor wanted = at_one_row_stride(levels);
  cuda::Quantile problem;
  problem.levels = items_of(wanted);
  problem.level_count = levels.size(-1);
  problem.points = points.mutable_data_ptr<double>();
  run_quantile(problem, at_one_row_stride(input), at_one_row_stride(options.mask), options);
  return points;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::QuantileAtLevels, quantile_at_levels_cuda>(library);
}

}  // namespace rank_relax
