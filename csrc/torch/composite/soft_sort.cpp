#include "torch/operators/soft_sort.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/ones_like.h>

#include <optional>

#include "torch/composite/function_call.h"

namespace rank_relax {
namespace {

void check_soft_sort(const FunctionCall& call, const Options& options) {
  operators::SoftSort::check(call.input, options);
}

at::Tensor value_of_soft_sort(const FunctionCall& call, const Options& options) {
  return operators::soft_sort(call.input, options);
}

at::Tensor soft_sort_in_float64(const FunctionCall& call, const Options& options) {
  // By l2 a strength is in units of the value.
  std::optional<at::Tensor> factor = call.strength;
  if (factor.has_value() && factor->defined() && options.method == "l2") {
    factor = factor->to(at::kDouble).reciprocal();
  }
  const ScaledList list(call.input.to(at::kDouble), factor, call.standardize, options.mask);
  const at::Tensor ordered = list.restored(operators::soft_sort(list.values(), options));
  if (!options.mask.has_value()) return ordered;
  // The zeros at the end are no points. Places are counted from 1, and not by arange, which would
  // not be sharded as a mask that is a DTensor.
  const at::Tensor places =
      at::ones_like(*options.mask, options.mask->options().dtype(at::kLong)).cumsum(-1);
  return ordered.masked_fill(places > options.mask->sum(-1, /*keepdim=*/true), 0);
}

const ListFunction of_sorts{operators::SoftSort::name, check_soft_sort, value_of_soft_sort,
                            soft_sort_in_float64, Result::kItems};

}  // namespace
}  // namespace rank_relax
