#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"
#include "torch/operators.h"
#include "torch/target_checks.h"
#include "torch/target_operators.h"

namespace rank_relax {
namespace {

/// The ranks of targets that have no gradient, centred: hard ones, or soft ones of integers.
at::Tensor constant_ranks(const at::Tensor& predictions, const at::Tensor& targets, bool hard,
                          const Options& options) {
  const at::ScalarType dtype = statistics_dtype(predictions);
  if (hard) return operators::centered_hard_rank().call(targets, options.mask, dtype);
  return operators::centered_integer_rank().call(targets, options.regularization_strength,
                                                 options.method, options.mask, dtype);
}

/// The public operator over the private forwards, whose other outputs are for the backward alone.
/// Integers are never rounded to the dtype of the predictions, which is that of the loss; two
/// floating dtypes are promoted where both are ranked softly.
at::Tensor spearman_loss(const at::Tensor& predictions, const at::Tensor& targets,
                         double regularization_strength, std::string_view method,
                         const std::optional<at::Tensor>& mask, std::string_view target_ranks) {
  const Options options{regularization_strength, method, mask};
  check_values("spearman_loss", "predictions", predictions);
  check_target_ranks(target_ranks);
  const bool hard = target_ranks == "hard";
  if (hard || at::isIntegralType(targets.scalar_type(), /*includeBool=*/true)) {
    check_targets(predictions, targets, options);
    return std::get<0>(operators::spearman_loss_at_ranks_forward()(
        predictions, constant_ranks(predictions, targets, hard, options), options));
  }
  check_values("spearman_loss", "targets", targets);
  const at::ScalarType dtype = c10::promoteTypes(predictions.scalar_type(), targets.scalar_type());
  return std::get<0>(
      operators::spearman_loss_forward()(predictions.to(dtype), targets.to(dtype), options));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  library.impl("spearman_loss", spearman_loss);
}

}  // namespace rank_relax
