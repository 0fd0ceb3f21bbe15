#include "torch/target_checks.h"

#include <c10/core/DefaultDtype.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include "torch/argument_checks.h"
#include "torch/checks.h"

namespace rank_relax {
namespace {

void check_lists(const char* op, const char* name, const at::Tensor& items) {
  check_dense(op, name, items);
  check_has_lists(op, name, items);
}

void check_real(const char* op, const char* name, const at::Tensor& items) {
  TORCH_CHECK_TYPE(
      is_floating(items.scalar_type()) || is_integer(items.scalar_type()), op, ": ", name,
      " must be float64, float32, bfloat16, float16, of an integer dtype or bool, got ",
      name_of(items.scalar_type()));
  check_lists(op, name, items);
}

void check_integers(const char* op, const char* name, const at::Tensor& items) {
  TORCH_CHECK_TYPE(is_integer(items.scalar_type()), op, ": ", name,
                   " must be of an integer dtype or bool, got ", name_of(items.scalar_type()));
  check_lists(op, name, items);
}

void check_given_ranks(const char* op, const at::Tensor& predictions,
                       const at::Tensor& target_ranks) {
  check_values(op, "predictions", predictions);
  check_items(op, "target_ranks", target_ranks, statistics_dtype(predictions), "predictions",
              predictions);
}

}  // namespace

void check_hard_rank(const char* op, const at::Tensor& input, const std::optional<at::Tensor>& mask,
                     at::ScalarType dtype) {
  check_real(op, "input", input);
  check_mask(op, mask, "input", input);
  TORCH_CHECK_TYPE(is_floating(dtype), op,
                   ": dtype must be float64, float32, bfloat16 or float16, got ", name_of(dtype));
}

void check_centered_integer_rank(const at::Tensor& input, const Options& options,
                                 at::ScalarType dtype) {
  constexpr const char* op = "_centered_integer_rank";
  check_integers(op, "input", input);
  check_options(op, "input", input, options);
  TORCH_CHECK_TYPE(dtype == at::kDouble || dtype == at::kFloat, op,
                   ": dtype must be float64 or float32, got ", name_of(dtype));
}

void check_integer_scores(const at::Tensor& input, const at::Tensor& strengths,
                          std::string_view method, const std::optional<at::Tensor>& mask) {
  constexpr const char* op = "_integer_scores";
  check_integers(op, "input", input);
  check_method(op, method);
  check_mask(op, mask, "input", input);
  check_one_number_a_row(op, "strengths", strengths, at::kDouble, "input", input);
}

void check_targets(const at::Tensor& predictions, const at::Tensor& targets,
                   const Options& options) {
  constexpr const char* op = "spearman_loss";
  check_real(op, "targets", targets);
  check_device(op, "targets", targets, "predictions", predictions);
  check_shape(op, "targets", targets, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

void check_target_ranks(std::string_view target_ranks) {
  TORCH_CHECK_VALUE(target_ranks == "hard" || target_ranks == "soft",
                    "spearman_loss: target_ranks must be one of 'hard', 'soft', got '",
                    target_ranks, "'");
}

void check_spearman_loss_at_ranks_forward(const at::Tensor& predictions,
                                          const at::Tensor& target_ranks, const Options& options) {
  constexpr const char* op = "_spearman_loss_at_ranks_forward";
  check_given_ranks(op, predictions, target_ranks);
  check_options(op, "predictions", predictions, options);
}

void check_spearman_loss_at_ranks_backward(const at::Tensor& grad_output,
                                           const at::Tensor& predictions,
                                           const at::Tensor& target_ranks,
                                           const at::Tensor& rank_gradient,
                                           const Options& options) {
  constexpr const char* op = "_spearman_loss_at_ranks_backward";
  check_given_ranks(op, predictions, target_ranks);
  check_items(op, "rank_gradient", rank_gradient, statistics_dtype(predictions), "predictions",
              predictions);
  check_dtype(op, "grad_output", grad_output, predictions.scalar_type());
  check_device(op, "grad_output", grad_output, "predictions", predictions);
  check_batch_shape(op, "grad_output", grad_output, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

at::ScalarType rank_dtype(const at::Tensor& input, std::optional<at::ScalarType> dtype) {
  if (dtype.has_value()) return *dtype;
  return is_integer(input.scalar_type()) ? c10::get_default_dtype_as_scalartype()
                                         : input.scalar_type();
}

}  // namespace rank_relax
