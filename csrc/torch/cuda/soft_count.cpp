#include "cuda/soft_count.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <vector>

#include "torch/cuda/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_count.h"

namespace rank_relax {
namespace {

/// Which are borrowed.
cuda::Ends ends_of(const at::Tensor& offsets) {
  const cuda::Items items = items_of(offsets);
  return {offsets.const_data_ptr<int64_t>(), items.row_stride, items.item_stride};
}

cuda::Keys keys_of(const at::Tensor& keys) {
  const cuda::Items items = items_of(keys);
  const at::ScalarType dtype = keys.scalar_type();
  const auto type = dtype == at::kLong     ? cuda::Keys::Type::kInt64
                    : dtype == at::kDouble ? cuda::Keys::Type::kFloat64
                                           : cuda::Keys::Type::kFloat32;
  return {items.data, type, items.row_stride, items.item_stride};
}

at::Tensor kernel_sum_cuda(const at::Tensor& points, const at::Tensor& values,
                           const at::Tensor& weights, const operators::Kernel& kernel,
                           const operators::Offsets& offsets, const operators::Keys& keys) {
  const c10::cuda::CUDAGuard guard(values.device());
  std::vector<int64_t> shape = weights.sizes().vec();
  shape.back() = points.size(-1);
  const at::Tensor output = at::empty(shape, points.options());
  if (output.numel() == 0) return output;
  std::vector<at::Tensor> kept;  // copies live until the kernels are enqueued
  kept.reserve(7);
  const auto keep = [&](const at::Tensor& tensor) -> const at::Tensor& {
    kept.push_back(at_one_row_stride(tensor));
    return kept.back();
  };
  cuda::PointSums problem;
  problem.rows = rows_of(values);
  problem.points = points.size(-1);
  problem.values = values.size(-1);
  problem.sets = weights.size(-2);
  problem.of_points = items_of(keep(points));
  problem.of_values = items_of(keep(values));
  problem.weights = items_of(keep(weights));
  if (offsets.of_values.has_value()) {
    problem.lists = offsets.of_values->size(-1) - 1;
    problem.value_ends = ends_of(keep(*offsets.of_values));
    problem.point_ends = ends_of(keep(*offsets.of_points));
  }
  if (keys.of_values.has_value()) {
    problem.value_keys = keys_of(keep(*keys.of_values));
    problem.point_keys = keys_of(keep(*keys.of_points));
  }
  problem.order = static_cast<int>(kernel.order);
  problem.regularization_strength = kernel.regularization_strength;
  problem.output = results_of(output);
  const at::DataPtr workspace = device_memory(cuda::soft_count_workspace(problem));
  enqueue_on_current_stream([&](cudaStream_t stream) {
    return cuda::soft_count(problem, kernel.method, workspace.get(), stream);
  });
  return output;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::KernelSum, kernel_sum_cuda>(library);
}

}  // namespace rank_relax
