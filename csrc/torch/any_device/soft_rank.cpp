#include "torch/operators/soft_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/view_copy.h>
#include <ATen/ops/where.h>
#include <c10/core/SymBool.h>
#include <torch/library.h>

#include <vector>

#include "torch/any_device/or_on_the_host.h"
#include "torch/any_device/pairwise_sum.h"

namespace rank_relax::any_device {
namespace {

using at::Tensor;

/// A [rows, n] table as the output of an operator on `input`.
Tensor output_of(const Tensor& table, const Tensor& input) {
  return at::view_copy_symint(table.to(input.scalar_type()), input.sym_sizes());
}

Tensor soft_rank(const Tensor& input, const Options& options) {
  if (TORCH_GUARD_OR_FALSE(input.sym_numel().sym_eq(0))) {
    return at::empty_symint(input.sym_sizes(), input.options());
  }
  const Lists lists(input, options.mask);
  const Tensor sums =
      pairwise_sum({}, lists, Strength(lists, options.regularization_strength), options.method) /
      lists.others();
  const Tensor compared =
      lists.counted.logical_and(lists.counted.sum(-1, true).gt(1));  // with another item
  return output_of(lists.with_nan_items(at::where(compared, sums + 0.5, 0)), input);
}

Tensor derivative(at::TensorList directions, const Tensor& input, const Options& options) {
  if (TORCH_GUARD_OR_FALSE(input.sym_numel().sym_eq(0))) {
    return at::empty_symint(input.sym_sizes(), input.options());
  }
  const Lists lists(input, options.mask);
  std::vector<Tensor> tables;
  for (const Tensor& direction : directions) {
    tables.push_back(rows(direction).to(lists.values.scalar_type()));
  }
  const Strength strength(lists, options.regularization_strength);
  const Tensor sums = pairwise_sum(tables, lists, strength, options.method) / lists.others();
  return output_of(lists.with_nan_items(sums), input);
}

Tensor soft_rank_backward(const Tensor& grad_output, const Tensor& input, const Options& options) {
  return derivative(grad_output, input, options);
}

Tensor soft_rank_derivative(at::TensorList directions, const Tensor& input,
                            const Options& options) {
  return derivative(directions, input, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeExplicitAutograd, library) {
  kernel_by_method<operators::SoftRank, soft_rank>(library);
  kernel_by_method<operators::SoftRankBackward, soft_rank_backward>(library);
  kernel_by_method<operators::SoftRankDerivative, soft_rank_derivative>(library);
}

}  // namespace rank_relax::any_device
