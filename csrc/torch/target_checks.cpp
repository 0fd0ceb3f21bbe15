#include "torch/target_checks.h"

#include <c10/core/DefaultDtype.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <string>

#include "core/methods.h"
#include "torch/checks.h"

namespace rank_relax {
namespace {

bool is_floating(at::ScalarType dtype) {
  return dtype == at::kDouble || dtype == at::kFloat || dtype == at::kBFloat16 ||
         dtype == at::kHalf;
}

bool is_integer(at::ScalarType dtype) { return at::isIntegralType(dtype, /*includeBool=*/true); }

std::string name_of(at::ScalarType dtype) { return std::string(c10::getDtypeNames(dtype).first); }

void check_lists(const char* op, const char* name, const at::Tensor& items) {
  TORCH_CHECK_TYPE(items.layout() == at::kStrided, op, ": ", name,
                   " must be a dense tensor, got layout ", items.layout(),
                   "; convert it with to_dense()");
  TORCH_CHECK_VALUE(items.dim() > 0, op, ": ", name,
                    " must have at least one dimension, the last of which is ranked, got a 0-dim "
                    "tensor");
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

/// `other` is on the device and has the shape of `items`.
void check_beside(const char* op, const char* other_name, const at::Tensor& other, const char* name,
                  const at::Tensor& items, c10::SymIntArrayRef shape) {
  TORCH_CHECK_TYPE(other.layout() == at::kStrided, op, ": ", other_name,
                   " must be a dense tensor, got layout ", other.layout(),
                   "; convert it with to_dense()");
  TORCH_CHECK_VALUE(other.device() == items.device(), op, ": ", other_name, " is on ",
                    other.device(), " but ", name, " is on ", items.device(),
                    "; move them to one device");
  TORCH_CHECK_VALUE(other.sym_sizes().equals(shape), op, ": ", other_name,
                    " must have the shape of ", name, ", ", shape, ", got ", other.sym_sizes(),
                    "; use expand_as to repeat one over a batch");
}

void check_beside(const char* op, const char* other_name, const at::Tensor& other, const char* name,
                  const at::Tensor& items) {
  check_beside(op, other_name, other, name, items, items.sym_sizes());
}

void check_dtype(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype) {
  TORCH_CHECK_TYPE(tensor.scalar_type() == dtype, op, ": ", name, " must have dtype ",
                   name_of(dtype), ", got ", name_of(tensor.scalar_type()));
}

void check_mask(const char* op, const char* name, const at::Tensor& items,
                const std::optional<at::Tensor>& mask) {
  if (!mask.has_value()) return;
  TORCH_CHECK_TYPE(mask->scalar_type() == at::kBool, op,
                   ": mask must be bool, true where an item counts, got ",
                   name_of(mask->scalar_type()), "; convert it with mask.bool()");
  check_beside(op, "mask", *mask, name, items);
}

void check_method(const char* op, std::string_view method) {
  TORCH_CHECK_VALUE(is_method(method), op, ": method must be one of ", method_names(), ", got '",
                    method, "'");
}

void check_options(const char* op, const char* name, const at::Tensor& items,
                   const Options& options) {
  const double strength = options.regularization_strength;
  TORCH_CHECK_VALUE(std::isfinite(strength) && strength > 0, op,
                    ": regularization_strength must be positive and finite, got ", strength,
                    "; larger is closer to the hard ranks");
  check_method(op, options.method);
  check_mask(op, name, items, options.mask);
}

void check_given_ranks(const char* op, const at::Tensor& predictions,
                       const at::Tensor& target_ranks) {
  check_values(op, "predictions", predictions);
  check_dtype(op, "target_ranks", target_ranks, statistics_dtype(predictions));
  check_beside(op, "target_ranks", target_ranks, "predictions", predictions);
}

}  // namespace

void check_hard_rank(const char* op, const at::Tensor& input, const std::optional<at::Tensor>& mask,
                     at::ScalarType dtype) {
  check_real(op, "input", input);
  check_mask(op, "input", input, mask);
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
  check_mask(op, "input", input, mask);
  check_dtype(op, "strengths", strengths, at::kDouble);
  c10::SymDimVector shape(input.sym_sizes().begin(), input.sym_sizes().end());
  shape.back() = 1;
  check_beside(op, "strengths", strengths, "one number a list of input", input, shape);
}

void check_targets(const at::Tensor& predictions, const at::Tensor& targets,
                   const Options& options) {
  constexpr const char* op = "spearman_loss";
  check_real(op, "targets", targets);
  check_beside(op, "targets", targets, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

void check_target_ranks(std::string_view target_ranks) {
  TORCH_CHECK_VALUE(target_ranks == "soft" || target_ranks == "hard",
                    "spearman_loss: target_ranks must be one of 'soft', 'hard', got '",
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
  check_dtype(op, "rank_gradient", rank_gradient, statistics_dtype(predictions));
  check_beside(op, "rank_gradient", rank_gradient, "predictions", predictions);
  check_dtype(op, "grad_output", grad_output, predictions.scalar_type());
  check_beside(op, "grad_output", grad_output, "the lists of predictions", predictions,
               predictions.sym_sizes().slice(0, predictions.dim() - 1));
  check_options(op, "predictions", predictions, options);
}

at::ScalarType rank_dtype(const at::Tensor& input, std::optional<at::ScalarType> dtype) {
  if (dtype.has_value()) return *dtype;
  return is_integer(input.scalar_type()) ? c10::get_default_dtype_as_scalartype()
                                         : input.scalar_type();
}

}  // namespace rank_relax
