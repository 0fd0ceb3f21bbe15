#include "torch/operators/soft_sort.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "core/projection/permutahedron.h"
#include "torch/any_device/float64.h"
#include "torch/cuda/adapter.h"
#include "torch/cuda/soft_quantile.h"
#include "torch/declaration/kernel.h"

namespace rank_relax {
namespace {

/// `points` and `densities` may be undefined.
at::Tensor sorted_values(const at::Tensor& input, const at::Tensor& points,
                         const at::Tensor& densities, const Options& options) {
  const at::Tensor values = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return values;
  cuda::Quantile problem;
  problem.values = results_of(values);
  if (points.defined()) problem.points = points.mutable_data_ptr<double>();
  if (densities.defined()) problem.densities = densities.mutable_data_ptr<double>();
  run_quantile(problem, at_one_row_stride(input), at_one_row_stride(options.mask), options);
  return values;
}

at::Tensor soft_sort_cuda(const at::Tensor& input, const Options& options) {
  if (Projections::contains(options.method)) {
    return std::get<0>(operators::permutahedron_sort_forward(input, options));
  }
  const c10::cuda::CUDAGuard guard(input.device());
  return sorted_values(input, {}, {}, options);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> quantile_sort_forward_cuda(const at::Tensor& input,
                                                                          const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::TensorOptions doubles = input.options().dtype(at::kDouble);
  const at::Tensor points = at::empty(input.sizes(), doubles);
  const at::Tensor densities = at::empty(input.sizes(), doubles);
  return {sorted_values(input, points, densities, options), bits_of(points), bits_of(densities)};
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::SoftSort, soft_sort_cuda>(library);
  kernel<operators::QuantileSortForward, quantile_sort_forward_cuda>(library);
}

}  // namespace rank_relax
