#include "torch/operators/spearman_loss.h"

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <torch/library.h>

#include <tuple>

#include "torch/composite/in_float64.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/hard_rank.h"
#include "torch/operators/integer_scores.h"

namespace rank_relax {
namespace {

using at::Tensor;

/// The ranks of targets that have no gradient, centred: hard ones, or soft ones of integers.
Tensor constant_ranks(const Tensor& predictions, const Tensor& targets, bool hard,
                      const Options& options) {
  const at::ScalarType dtype = statistics_dtype(predictions);
  if (hard) return operators::centered_hard_rank(targets, options.mask, dtype);
  return operators::centered_integer_rank(targets, options, dtype);
}

/// The public operator over the private forwards, whose other outputs are for the backward alone.
/// Integers are never rounded to the dtype of the predictions, which is that of the loss; two
/// floating dtypes are promoted where both are ranked softly.
Tensor spearman_loss(const Tensor& predictions, const Tensor& targets, const Options& options,
                     std::string_view target_ranks) {
  if (operators::SpearmanLoss::has_constant_ranks(targets, target_ranks)) {
    return std::get<0>(operators::spearman_loss_at_ranks_forward(
        predictions, constant_ranks(predictions, targets, target_ranks == "hard", options),
        options));
  }
  const at::ScalarType dtype = c10::promoteTypes(predictions.scalar_type(), targets.scalar_type());
  return std::get<0>(
      operators::spearman_loss_forward(predictions.to(dtype), targets.to(dtype), options));
}

void check_spearman_loss(const Float64Call& call, const Options& options) {
  operators::SpearmanLossForward::check(call.input, targets_of(call), options);
}

Tensor spearman_loss_in_float64(const Float64Call& call, const Options& options) {
  return std::get<0>(
      operators::spearman_loss_forward(call.scaled(call.input, options).values(),
                                       call.scaled(targets_of(call), options).values(), options));
}

void check_spearman_loss_at_ranks(const Float64Call& call, const Options& options) {
  operators::SpearmanLossAtRanksForward::check(call.input, targets_of(call), options);
}

Tensor spearman_loss_at_ranks_in_float64(const Float64Call& call, const Options& options) {
  return std::get<0>(operators::spearman_loss_at_ranks_forward(
      call.scaled(call.input, options).values(), targets_of(call).to(at::kDouble), options));
}

const Float64Function of_two_lists{operators::SpearmanLoss::name, check_spearman_loss,
                                   spearman_loss_in_float64, shape_of_batch};
const Float64Function of_list_and_ranks{"spearman_loss_at_ranks", check_spearman_loss_at_ranks,
                                        spearman_loss_at_ranks_in_float64, shape_of_batch};

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::SpearmanLoss, spearman_loss>(library);
}

}  // namespace rank_relax
