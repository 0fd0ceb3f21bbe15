#include "torch/composite/soft_quantile.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/ones_like.h>
#include <torch/library.h>

#include <limits>
#include <vector>

#include "torch/checks.h"
#include "torch/composite/centered.h"
#include "torch/composite/in_float64.h"

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
      operators::quantile_at_levels()(list.values, levels, options) + list.center;
  const at::Tensor nan_or_one =
      at::ones_like(count).masked_fill(undefined.any(-1, /*keepdim=*/true), kNan);
  return points * nan_or_one;
}

namespace {

at::Tensor soft_quantile(const at::Tensor& input, const at::Tensor& q,
                         double regularization_strength, std::string_view method,
                         const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_soft_quantile(input, q, options);
  std::vector<c10::SymInt> of_lists = input.sym_sizes().vec();
  of_lists.back() = q.sym_size(-1);
  return operators::in_float64()(input, std::nullopt, q.expand_symint(of_lists), std::nullopt,
                                 "soft_quantile",
                                 /*number=*/0, /*standardize=*/false, options)
      .to(input.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("soft_quantile", soft_quantile);
}

}  // namespace rank_relax
