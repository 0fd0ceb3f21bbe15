#include "torch/operators/spearman_loss.h"

#include <c10/util/Exception.h>
#include <torch/library.h>

#include "core/refusals.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

void check_given_ranks(const char* op, const Tensor& predictions, const Tensor& target_ranks) {
  check_values(op, "predictions", predictions);
  check_items(op, "target_ranks", target_ranks, statistics_dtype(predictions), "predictions",
              predictions);
}

/// What a backward takes from the forward, and of the loss; the options too.
void check_rest_of_backward(const char* op, const Tensor& grad_output, const Tensor& predictions,
                            const Tensor& rank_gradient, const Options& options) {
  check_items(op, "rank_gradient", rank_gradient, statistics_dtype(predictions), "predictions",
              predictions);
  check_dtype(op, "grad_output", grad_output, predictions.scalar_type());
  check_device(op, "grad_output", grad_output, "predictions", predictions);
  check_batch_shape(op, "grad_output", grad_output, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

}  // namespace

bool SpearmanLoss::has_constant_ranks(const Tensor& targets, std::string_view target_ranks) {
  return target_ranks == "hard" || is_integer(targets.scalar_type());
}

void SpearmanLoss::check(const Tensor& predictions, const Tensor& targets, const Options& options,
                         std::string_view target_ranks) {
  check_values(name, "predictions", predictions);
  TORCH_CHECK_VALUE(target_ranks == "hard" || target_ranks == "soft", name, ": ",
                    refusal::not_a_choice("target_ranks", "'hard', 'soft'", target_ranks));
  if (!has_constant_ranks(targets, target_ranks)) {
    check_values(name, "targets", targets);
    return;  // the forward has the rest to say, once both are of one dtype
  }
  check_real(name, "targets", targets);
  check_device(name, "targets", targets, "predictions", predictions);
  check_shape(name, "targets", targets, "predictions", predictions);
  check_options(name, "predictions", predictions, options);
}

/// Speaks as the loss, which calls it with what the user gave.
void SpearmanLossForward::check(const Tensor& predictions, const Tensor& targets,
                                const Options& options) {
  constexpr const char* op = SpearmanLoss::name;
  check_values(op, "predictions", predictions);
  check_matches(op, "targets", targets, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

std::tuple<Tensor, Tensor, Tensor> SpearmanLossForward::outputs(const Tensor& predictions,
                                                                const Tensor&, const Options&) {
  return {one_for_each_list(predictions), statistics_like(predictions),
          statistics_like(predictions)};
}

void SpearmanLossBackward::check(const Tensor& grad_output, const Tensor& predictions,
                                 const Tensor& targets, const Tensor& rank_gradient,
                                 const Options& options) {
  check_values(name, "predictions", predictions);
  check_matches(name, "targets", targets, "predictions", predictions);
  check_rest_of_backward(name, grad_output, predictions, rank_gradient, options);
}

void SpearmanLossAtRanksForward::check(const Tensor& predictions, const Tensor& target_ranks,
                                       const Options& options) {
  check_given_ranks(name, predictions, target_ranks);
  check_options(name, "predictions", predictions, options);
}

std::tuple<Tensor, Tensor> SpearmanLossAtRanksForward::outputs(const Tensor& predictions,
                                                               const Tensor&, const Options&) {
  return {one_for_each_list(predictions), statistics_like(predictions)};
}

void SpearmanLossAtRanksBackward::check(const Tensor& grad_output, const Tensor& predictions,
                                        const Tensor& target_ranks, const Tensor& rank_gradient,
                                        const Options& options) {
  check_given_ranks(name, predictions, target_ranks);
  check_rest_of_backward(name, grad_output, predictions, rank_gradient, options);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<SpearmanLoss, SpearmanLossForward, SpearmanLossBackward, SpearmanLossAtRanksForward,
          SpearmanLossAtRanksBackward>(library);
}

}  // namespace rank_relax::operators
