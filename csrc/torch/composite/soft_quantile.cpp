#include "torch/composite/soft_quantile.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <limits>
#include <tuple>
#include <vector>

#include "torch/any_device/float64.h"
#include "torch/composite/centered.h"
#include "torch/composite/function_call.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_quantile.h"

namespace rank_relax {

namespace soft_quantile {

Lists lists_of(const at::Tensor& input, const at::Tensor& q, const Options& options) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  at::Tensor undefined = at::isnan(input);
  at::Tensor counted = undefined.logical_not();
  if (options.mask.has_value()) {
    undefined = undefined.logical_and(*options.mask);
    counted = counted.logical_and(*options.mask);
  }
  const at::Tensor shares = q.to(at::kDouble);
  const at::Tensor is_none = (shares >= 0)
                                 .logical_and(shares <= 1)
                                 .logical_not()
                                 .logical_or(undefined.any(-1, /*keepdim=*/true));
  const at::Tensor count = counted.sum(-1, /*keepdim=*/true).to(at::kDouble);
  const at::Tensor levels = (shares * (count - 1) + 0.5).masked_fill(is_none, kNan);
  const Centered list = centered(input, options.mask);
  return {list.values, list.center, levels};
}

at::Tensor Lists::points(const Options& options) const {
  return operators::quantile_at_levels(values, levels, options);
}

}  // namespace soft_quantile

namespace {

using at::Tensor;

std::tuple<Tensor, Tensor, Tensor> soft_quantile_forward(const Tensor& input, const Tensor& q,
                                                         const Options& options) {
  const soft_quantile::Lists lists = soft_quantile::lists_of(input, q, options);
  const Tensor points = lists.points(options);
  return {(points + lists.center).to(input.scalar_type()), bits_of(points),
          bits_of(at::zeros_like(points))};
}

Tensor soft_quantile_backward(const Tensor& grad_quantiles, const Tensor& input, const Tensor&,
                              const Tensor& points, const Tensor&, const Options& options) {
  const Tensor at = float64_of(points);  // in place of the levels too, of which no value is read
  return operators::quantile_at_levels_backward(
             grad_quantiles.to(at::kDouble), centered(input, options.mask).values, at, at, options)
      .to(input.scalar_type());
}

Tensor soft_quantile_tangent(const Tensor& direction, const Tensor& input, const Tensor&,
                             const Tensor& points, const Tensor&, const Options& options) {
  const Tensor at = float64_of(points);
  return operators::quantile_at_levels_tangent(
             direction.to(at::kDouble), centered(input, options.mask).values, at, at, options)
      .to(input.scalar_type());
}

Tensor quantiles(const Tensor& input, const Tensor& q, const Options& options) {
  std::vector<c10::SymInt> of_lists = input.sym_sizes().vec();
  of_lists.back() = q.sym_size(-1);
  return std::get<0>(operators::soft_quantile_forward(input, q.expand_symint(of_lists), options));
}

void check_soft_quantile(const FunctionCall& call, const Options& options) {
  operators::SoftQuantile::check(call.input, call.level.value_or(Tensor()), options);
}

Tensor soft_quantile_in_float64(const FunctionCall& call, const Options& options) {
  const ScaledList list = call.scaled(call.input, options);
  const soft_quantile::Lists lists =
      soft_quantile::lists_of(list.values(), call.level_or_number({1}), options);
  return list.restored(lists.points(options) + lists.center);
}

Tensor value_of_soft_quantile(const FunctionCall& call, const Options& options) {
  return operators::soft_quantile(call.input, *call.level, options);
}

const ListFunction of_quantiles{operators::SoftQuantile::name, check_soft_quantile,
                                value_of_soft_quantile, soft_quantile_in_float64, Result::kLevels};

}  // namespace

// Elsewhere by the CPU's kernels.
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::SoftQuantileForward, soft_quantile_forward>(library);
  kernel<operators::SoftQuantileBackward, soft_quantile_backward>(library);
  kernel<operators::SoftQuantileTangent, soft_quantile_tangent>(library);
}

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::SoftQuantile, quantiles>(library);
}

}  // namespace rank_relax
