#include "torch/composite/soft_quantile.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/ones_like.h>
#include <torch/library.h>

#include <limits>
#include <optional>
#include <vector>

#include "torch/composite/centered.h"
#include "torch/composite/in_float64.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/in_float64.h"
#include "torch/operators/soft_quantile.h"

namespace rank_relax {

at::Tensor quantile(const at::Tensor& input, const at::Tensor& q, const Options& options) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  at::Tensor undefined = at::isnan(input);
  at::Tensor counted = undefined.logical_not();
  if (options.mask.has_value()) {
    undefined = undefined.logical_and(*options.mask);
    counted = counted.logical_and(*options.mask);
  }
  const at::Tensor q_valid =
      q.to(at::kDouble).masked_fill((q >= 0).logical_and(q <= 1).logical_not(), kNan);
  const at::Tensor count = counted.sum(-1, /*keepdim=*/true).to(at::kDouble);
  const at::Tensor levels = q_valid * (count - 1) + 0.5;
  const Centered list = centered(input, options.mask);
  const at::Tensor points =
      operators::quantile_at_levels(list.values, levels, options) + list.center;
  const at::Tensor nan_or_one =
      at::ones_like(count).masked_fill(undefined.any(-1, /*keepdim=*/true), kNan);
  return points * nan_or_one;
}

namespace {

at::Tensor soft_quantile(const at::Tensor& input, const at::Tensor& q, const Options& options) {
  std::vector<c10::SymInt> of_lists = input.sym_sizes().vec();
  of_lists.back() = q.sym_size(-1);
  const Float64Call call{input,
                         /*targets=*/std::nullopt,
                         /*level=*/q.expand_symint(of_lists),
                         /*strength=*/std::nullopt,
                         operators::SoftQuantile::name,
                         /*number=*/0,
                         /*standardize=*/false};
  return operators::in_float64(call, options).to(input.scalar_type());
}

void check_soft_quantile(const Float64Call& call, const Options& options) {
  operators::SoftQuantile::check(call.input, call.level.value_or(at::Tensor()), options);
}

at::Tensor soft_quantile_in_float64(const Float64Call& call, const Options& options) {
  const ScaledList list = call.scaled(call.input, options);
  return list.restored(quantile(list.values(), call.level_or_number({1}), options));
}

std::vector<c10::SymInt> shape_of_soft_quantile(const Float64Call& call) {
  std::vector<c10::SymInt> shape = shape_of_items(call);
  shape.back() = call.level.has_value() ? call.level->sym_size(-1) : c10::SymInt(1);
  return shape;
}

const Float64Function of_quantiles{operators::SoftQuantile::name, check_soft_quantile,
                                   soft_quantile_in_float64, shape_of_soft_quantile};

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::SoftQuantile, soft_quantile>(library);
}

}  // namespace rank_relax
