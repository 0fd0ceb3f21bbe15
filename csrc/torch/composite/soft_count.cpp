#include "torch/operators/soft_count.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/result_type.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include "torch/declaration/kernel.h"

namespace rank_relax {
namespace {

using at::Tensor;

/// In the dtype that points, values and weights are promoted to.
Tensor soft_count(const Tensor& points, const Tensor& values, const std::optional<Tensor>& weights,
                  const Options& options, int64_t order, const operators::Offsets& offsets,
                  const operators::Keys& keys) {
  at::ScalarType dtype = c10::promoteTypes(points.scalar_type(), values.scalar_type());
  if (weights.has_value()) dtype = c10::promoteTypes(dtype, weights->scalar_type());
  const Tensor given = values.to(dtype);
  const bool in_sets = weights.has_value() && weights->dim() > values.dim();
  Tensor sets = weights.has_value() ? weights->to(dtype) : at::ones_like(given);
  if (!in_sets) sets = sets.unsqueeze(-2);
  Tensor counted = given;
  if (options.mask.has_value()) {
    counted = given.masked_fill(options.mask->logical_not(), 0);
    sets = sets.masked_fill(options.mask->logical_not().unsqueeze(-2), 0);
  }
  const std::optional<Tensor>& of_points =
      offsets.of_points.has_value() ? offsets.of_points : offsets.of_values;
  const std::optional<Tensor>& point_keys =
      keys.of_points.has_value() ? keys.of_points : keys.of_values;
  const Tensor sums = operators::kernel_sum(
      points.to(dtype), counted, sets, {options.regularization_strength, options.method, order},
      {offsets.of_values, of_points}, {keys.of_values, point_keys});
  return in_sets ? sums : sums.squeeze(-2);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::SoftCount, soft_count>(library);
}

}  // namespace rank_relax
