#include "torch/operators/soft_rank.h"

#include <ATen/core/Tensor.h>

#include "torch/composite/in_float64.h"

namespace rank_relax {
namespace {

void check_soft_rank(const Float64Call& call, const Options& options) {
  operators::SoftRank::check(call.input, options);
}

at::Tensor soft_rank_in_float64(const Float64Call& call, const Options& options) {
  return operators::soft_rank(call.scaled(call.input, options).values(), options);
}

const Float64Function of_ranks{operators::SoftRank::name, check_soft_rank, soft_rank_in_float64,
                               shape_of_items};

}  // namespace
}  // namespace rank_relax
