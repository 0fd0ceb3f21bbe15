#include "cpu/soft_quantile.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "torch/any_device/float64.h"
#include "torch/cpu/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_quantile.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> soft_quantile_forward_cpu(const at::Tensor& input,
                                                                         const at::Tensor& q,
                                                                         const Options& options) {
  const at::TensorOptions doubles = input.options().dtype(at::kDouble);
  const at::Tensor quantiles = at::empty(q.sizes(), doubles);
  const at::Tensor points = at::empty(q.sizes(), doubles);
  const at::Tensor densities = at::empty(q.sizes(), doubles);
  if (q.numel() > 0) {
    const at::Tensor items = at_least_float32(input), shares = q.to(at::kDouble);
    AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "soft_quantile", [&] {
      cpu::quantiles(soft_batch_of<scalar_t>(items, options), rows_of<double>(shares), q.size(-1),
                     quantiles.mutable_data_ptr<double>(), points.mutable_data_ptr<double>(),
                     densities.mutable_data_ptr<double>(), torch_parallel_for);
    });
  }
  return {quantiles.to(input.scalar_type()), bits_of(points), bits_of(densities)};
}

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

/// What a product is taken at: float64, and contiguous while it lives.
struct Points {
  at::Tensor points;
  at::Tensor densities;  // undefined if not known
  bool from_centers;

  cpu::LevelPoints borrowed() const {
    return {points.const_data_ptr<double>(),
            densities.defined() ? densities.const_data_ptr<double>() : nullptr, points.size(-1),
            from_centers};
  }
};

at::Tensor to_items(const at::Tensor& vector, const at::Tensor& input, const Points& at,
                    const Options& options) {
  const at::Tensor items = at_least_float32(input), factors = vector.to(at::kDouble);
  const at::Tensor output = at::empty(items.sizes(), items.options());
  if (output.numel() > 0) {
    AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "quantiles_to_items", [&] {
      cpu::quantiles_to_items(soft_batch_of<scalar_t>(items, options), at.borrowed(),
                              rows_of<double>(factors), output.mutable_data_ptr<scalar_t>(),
                              torch_parallel_for);
    });
  }
  return output.to(input.scalar_type());
}

/// In float64.
at::Tensor to_levels(const at::Tensor& vector, const at::Tensor& input, const Points& at,
                     const Options& options) {
  const at::Tensor items = at_least_float32(input), along = at_least_float32(vector);
  const at::Tensor output = at::empty(at.points.sizes(), at.points.options());
  if (output.numel() > 0) {
    AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "quantiles_to_levels", [&] {
      cpu::quantiles_to_levels(soft_batch_of<scalar_t>(items, options), at.borrowed(),
                               rows_of<scalar_t>(along), output.mutable_data_ptr<double>(),
                               torch_parallel_for);
    });
  }
  return output;
}

at::Tensor soft_quantile_backward_cpu(const at::Tensor& grad_quantiles, const at::Tensor& input,
                                      const at::Tensor&, const at::Tensor& points,
                                      const at::Tensor& densities, const Options& options) {
  const Points at = {float64_of(points.contiguous()), float64_of(densities.contiguous()),
                     /*from_centers=*/true};
  return to_items(grad_quantiles, input, at, options);
}

at::Tensor soft_quantile_tangent_cpu(const at::Tensor& direction, const at::Tensor& input,
                                     const at::Tensor&, const at::Tensor& points,
                                     const at::Tensor& densities, const Options& options) {
  const Points at = {float64_of(points.contiguous()), float64_of(densities.contiguous()),
                     /*from_centers=*/true};
  return to_levels(direction, input, at, options).to(input.scalar_type());
}

at::Tensor quantile_at_levels_backward_cpu(const at::Tensor& grad_points, const at::Tensor& input,
                                           const at::Tensor&, const at::Tensor& points,
                                           const Options& options) {
  return to_items(grad_points, input, {points.contiguous(), {}, /*from_centers=*/false}, options);
}

at::Tensor quantile_at_levels_tangent_cpu(const at::Tensor& direction, const at::Tensor& input,
                                          const at::Tensor&, const at::Tensor& points,
                                          const Options& options) {
  return to_levels(direction, input, {points.contiguous(), {}, /*from_centers=*/false}, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::SoftQuantileForward, soft_quantile_forward_cpu>(library);
  kernel<operators::SoftQuantileBackward, soft_quantile_backward_cpu>(library);
  kernel<operators::SoftQuantileTangent, soft_quantile_tangent_cpu>(library);
  kernel<operators::QuantileAtLevels, quantile_at_levels_cpu>(library);
  kernel<operators::QuantileAtLevelsBackward, quantile_at_levels_backward_cpu>(library);
  kernel<operators::QuantileAtLevelsTangent, quantile_at_levels_tangent_cpu>(library);
}

}  // namespace rank_relax
