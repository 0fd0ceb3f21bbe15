#include "torch/operators/spearman_loss.h"

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <torch/library.h>

#include <tuple>

#include "torch/composite/function_call.h"
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

void check_spearman_loss(const FunctionCall& call, const Options& options) {
  const Tensor& targets = call.needed_targets();
  if (is_integer(targets.scalar_type())) {
    operators::SpearmanLoss::check(call.input, targets, options, "soft");
  } else {
    operators::SpearmanLossForward::check(call.input, targets, options);
  }
}

Tensor value_of_spearman_loss(const FunctionCall& call, const Options& options) {
  return operators::spearman_loss(call.input, call.needed_targets(), options, "soft");
}

Tensor spearman_loss_in_float64(const FunctionCall& call, const Options& options) {
  return std::get<0>(operators::spearman_loss_forward(
      call.scaled(call.input, options).values(),
      call.scaled(call.needed_targets(), options).values(), options));
}

void check_against_ranks(const FunctionCall& call, const Options& options) {
  operators::SpearmanLossAtRanksForward::check(call.input, call.needed_targets(), options);
}

Tensor value_against_ranks(const FunctionCall& call, const Options& options) {
  return std::get<0>(
      operators::spearman_loss_at_ranks_forward(call.input, call.needed_targets(), options));
}

Tensor value_against_ranks_in_float64(const FunctionCall& call, const Options& options) {
  return std::get<0>(operators::spearman_loss_at_ranks_forward(
      call.scaled(call.input, options).values(), call.needed_targets().to(at::kDouble), options));
}

void check_against_order(const FunctionCall& call, const Options& options) {
  operators::SpearmanLoss::check(call.input, call.needed_targets(), options, "hard");
}

Tensor value_against_order(const FunctionCall& call, const Options& options) {
  return operators::spearman_loss(call.input, call.needed_targets(), options, "hard");
}

Tensor value_against_order_in_float64(const FunctionCall& call, const Options& options) {
  FunctionCall at_ranks = call;
  at_ranks.targets =
      operators::centered_hard_rank(call.needed_targets(), options.mask, at::kDouble);
  return value_against_ranks_in_float64(at_ranks, options);
}

const ListFunction of_two_lists{operators::SpearmanLoss::name, check_spearman_loss,
                                value_of_spearman_loss, spearman_loss_in_float64, Result::kLists};
const ListFunction of_list_and_ranks{"spearman_loss at ranks", check_against_ranks,
                                     value_against_ranks, value_against_ranks_in_float64,
                                     Result::kLists};
const ListFunction of_list_and_order{"spearman_loss by order", check_against_order,
                                     value_against_order, value_against_order_in_float64,
                                     Result::kLists};

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeImplicitAutograd, library) {
  kernel<operators::SpearmanLoss, spearman_loss>(library);
}

}  // namespace rank_relax
