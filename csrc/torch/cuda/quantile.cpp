#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "core/projection/permutahedron.h"
#include "cuda/soft_sort_and_soft_quantile.h"
#include "torch/checks.h"
#include "torch/cuda/adapter.h"
#include "torch/float64.h"

namespace rank_relax {
namespace {

/// Enqueues on the current stream. `mask` is at one row stride, as `input` is.
void run_quantile(cuda::Quantile problem, const at::Tensor& input,
                  const std::optional<at::Tensor>& mask, const Options& options) {
  problem.rows = rows_of(input);
  problem.size = input.size(-1);
  problem.input = items_of(input);
  if (mask.has_value()) problem.mask = items_of(*mask);
  problem.regularization_strength = options.regularization_strength;
  TORCH_CHECK_VALUE(problem.size <= cuda::kLongestRow, "rank_relax: a list can have ",
                    cuda::kLongestRow, " items at most, got ", problem.size);
  const at::DataPtr workspace = device_memory(cuda::quantile_workspace(problem));
  enqueue_on_current_stream([&](cudaStream_t stream) {
    return cuda::quantile(problem, options.method, workspace.get(), stream);
  });
}

std::optional<at::Tensor> mask_at_one_row_stride(const Options& options) {
  if (!options.mask.has_value()) return std::nullopt;
  return at_one_row_stride(*options.mask);
}

/// `points` and `densities` may be undefined.
at::Tensor sorted_values(const at::Tensor& input, const at::Tensor& points,
                         const at::Tensor& densities, const Options& options) {
  const at::Tensor values = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return values;
  cuda::Quantile problem;
  problem.values = results_of(values);
  if (points.defined()) problem.points = points.mutable_data_ptr<double>();
  if (densities.defined()) problem.densities = densities.mutable_data_ptr<double>();
  run_quantile(problem, at_one_row_stride(input), mask_at_one_row_stride(options), options);
  return values;
}

at::Tensor soft_sort_cuda(const at::Tensor& input, double regularization_strength,
                          std::string_view method, const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_sort(input, options);
  if (Projections::contains(method)) {
    return std::get<0>(operators::permutahedron_sort_forward()(input, options));
  }
  const c10::cuda::CUDAGuard guard(input.device());
  return sorted_values(input, {}, {}, options);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> quantile_sort_forward_cuda(
    const at::Tensor& input, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_quantile_sort_forward(input, options);
  const c10::cuda::CUDAGuard guard(input.device());
  const at::TensorOptions doubles = input.options().dtype(at::kDouble);
  const at::Tensor points = at::empty(input.sizes(), doubles);
  const at::Tensor densities = at::empty(input.sizes(), doubles);
  return {sorted_values(input, points, densities, options), bits_of(points), bits_of(densities)};
}

at::Tensor quantile_at_levels_cuda(const at::Tensor& input, const at::Tensor& levels,
                                   double regularization_strength, std::string_view method,
                                   const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_quantile_at_levels("_quantile_at_levels", input, levels, options);
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor points = at::empty(levels.sizes(), levels.options());
  if (points.numel() == 0) return points;
  const at::Tensor wanted = at_one_row_stride(levels);
  cuda::Quantile problem;
  problem.levels = items_of(wanted);
  problem.level_count = levels.size(-1);
  problem.points = points.mutable_data_ptr<double>();
  run_quantile(problem, at_one_row_stride(input), mask_at_one_row_stride(options), options);
  return points;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  library.impl("soft_sort", soft_sort_cuda);
  library.impl("_quantile_sort_forward", quantile_sort_forward_cuda);
  library.impl("_quantile_at_levels", quantile_at_levels_cuda);
}

}  // namespace rank_relax
