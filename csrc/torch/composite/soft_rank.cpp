#include "torch/operators/soft_rank.h"

#include <ATen/core/Tensor.h>

#include "torch/composite/function_call.h"

namespace rank_relax {
namespace {

void check_soft_rank(const FunctionCall& call, const Options& options) {
  operators::SoftRank::check(call.input, options);
}

at::Tensor value_of_soft_rank(const FunctionCall& call, const Options& options) {
  return operators::soft_rank(call.input, options);
}

at::Tensor soft_rank_in_float64(const FunctionCall& call, const Options& options) {
  return operators::soft_rank(call.scaled(call.input, options).values(), options);
}

const ListFunction of_ranks{operators::SoftRank::name, check_soft_rank, value_of_soft_rank,
                            soft_rank_in_float64, Result::kItems};

}  // namespace
}  // namespace rank_relax
