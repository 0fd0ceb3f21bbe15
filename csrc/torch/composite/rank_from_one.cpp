#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/sum.h>
#include <torch/library.h>

#include "torch/checks.h"
#include "torch/operators.h"

namespace rank_relax {
namespace {

/// 1 + (n - 1) R, with n the items that are not NaN. Here and not in Python, where short lists
/// would pay more for the steps than for the ranks.
at::Tensor rank_from_one(const at::Tensor& input, double regularization_strength,
                         std::string_view method) {
  check_values("soft_rank", "input", input);
  TORCH_CHECK_TYPE(!at::isReducedFloatingType(input.scalar_type()),
                   "_rank_from_one: input must be float64 or float32, got ", input.scalar_type(),
                   "; halves don't hold counts, so convert it with input.float()");
  const std::optional<at::Tensor> no_mask;
  const at::Tensor rank = operators::soft_rank()(input, {regularization_strength, method, no_mask});
  const at::Tensor nan_items =
      at::sum(at::isnan(input), {-1}, /*keepdim=*/true, rank.scalar_type());
  const at::Tensor others = at::rsub(nan_items, c10::Scalar(input.sym_size(-1) - 1));
  return rank * others + 1;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("_rank_from_one", rank_from_one);
}

}  // namespace rank_relax
