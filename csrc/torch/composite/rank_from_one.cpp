#include "torch/operators/rank_from_one.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/sum.h>
#include <torch/library.h>

#include <optional>

#include "torch/declaration/kernel.h"
#include "torch/operators/soft_rank.h"

namespace rank_relax {
namespace {

/// 1 + (n - 1) R, with n the items that are not NaN. Here and not in Python, where short lists
/// would pay more for the steps than for the ranks.
at::Tensor rank_from_one(const at::Tensor& input, double regularization_strength,
                         std::string_view method) {
  const std::optional<at::Tensor> no_mask;
  const at::Tensor rank = operators::soft_rank(input, {regularization_strength, method, no_mask});
  const at::Tensor nan_items =
      at::sum(at::isnan(input), {-1}, /*keepdim=*/true, rank.scalar_type());
  const at::Tensor others = at::rsub(nan_items, c10::Scalar(input.sym_size(-1) - 1));
  return rank * others + 1;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::RankFromOne, rank_from_one>(library);
}

}  // namespace rank_relax
