#include "cpu/soft_sort.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "core/projection/permutahedron.h"
#include "torch/any_device/float64.h"
#include "torch/cpu/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_sort.h"

namespace rank_relax {
namespace {

/// `points` and `densities` may be undefined.
at::Tensor sorted_values(const at::Tensor& input, const at::Tensor& points,
                         const at::Tensor& densities, const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  const auto data = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.mutable_data_ptr<double>() : nullptr;
  };
  const at::Tensor items = at_least_float32(input);
  const at::Tensor values = at::empty(items.sizes(), items.options());
  AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "quantile_sort", [&] {
    cpu::quantile_sort(soft_batch_of<scalar_t>(items, options), values.mutable_data_ptr<scalar_t>(),
                       data(points), data(densities), torch_parallel_for);
  });
  return values.to(input.scalar_type());
}

at::Tensor soft_sort_cpu(const at::Tensor& input, const Options& options) {
  if (Projections::contains(options.method)) {
    return std::get<0>(operators::permutahedron_sort_forward(input, options));
  }
  return sorted_values(input, {}, {}, options);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> quantile_sort_forward_cpu(const at::Tensor& input,
                                                                         const Options& options) {
  const at::TensorOptions doubles = input.options().dtype(at::kDouble);
  const at::Tensor points = at::empty(input.sizes(), doubles);
  const at::Tensor densities = at::empty(input.sizes(), doubles);
  return {sorted_values(input, points, densities, options), bits_of(points), bits_of(densities)};
}

at::Tensor product(const at::Tensor& vector, const at::Tensor& input, const at::Tensor& points,
                   const at::Tensor& densities, bool transposed, const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  const at::Tensor items = at_least_float32(input), factors = at_least_float32(vector);
  const at::Tensor dense_points = float64_of(points.contiguous());
  const at::Tensor dense_densities = float64_of(densities.contiguous());
  const at::Tensor output = at::empty(items.sizes(), items.options());
  AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "quantile_sort_product", [&] {
    cpu::quantile_sort_product(
        soft_batch_of<scalar_t>(items, options),
        {dense_points.const_data_ptr<double>(), dense_densities.const_data_ptr<double>()},
        rows_of<scalar_t>(factors), transposed, output.mutable_data_ptr<scalar_t>(),
        torch_parallel_for);
  });
  return output.to(input.scalar_type());
}

at::Tensor quantile_sort_backward_cpu(const at::Tensor& grad_output, const at::Tensor& input,
                                      const at::Tensor& points, const at::Tensor& densities,
                                      const Options& options) {
  return product(grad_output, input, points, densities, /*transposed=*/true, options);
}

at::Tensor quantile_sort_tangent_cpu(const at::Tensor& direction, const at::Tensor& input,
                                     const at::Tensor& points, const at::Tensor& densities,
                                     const Options& options) {
  return product(direction, input, points, densities, /*transposed=*/false, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::SoftSort, soft_sort_cpu>(library);
  kernel<operators::QuantileSortForward, quantile_sort_forward_cpu>(library);
  kernel<operators::QuantileSortBackward, quantile_sort_backward_cpu>(library);
  kernel<operators::QuantileSortTangent, quantile_sort_tangent_cpu>(library);
}

}  // namespace rank_relax
